/** What the status of one member Service is to say. */
import type { Condition, Service } from '../kube/wire.ts';
import { PREFIX } from './annotations.ts';
import {
  LISTED,
  answersOf,
  currentConditions,
  foreignConditions,
  mergeConditions,
  sameConditions,
  type Answer,
} from './conditions.ts';
import { currentIngress, ingressOf, sameIngress, type Ingress } from './ingress.ts';
import { parseIp } from './ip.ts';
import { listenerKey, type Member } from './model.ts';
import type { Problem } from './problem.ts';
import type { Capabilities, LoadBalancerStatus } from './provider.ts';

export interface MemberView {
  readonly service: Service;
  readonly provider: string;
  readonly ipMode: Capabilities['ipMode'];
  /** Undefined when nothing of the Service is to be served, or goes on being served. */
  readonly member: Member | undefined;
  /** The load balancer was left as it was, because all its members are refused. */
  readonly kept: boolean;
  readonly refusals: readonly Problem[];
  readonly failures: readonly Problem[];
  readonly warnings: readonly string[];
  /** What the provider says; undefined when there is nothing to ask it about. */
  readonly observed: LoadBalancerStatus | undefined;
  readonly noNodes: boolean;
}

export interface MemberStatus {
  readonly ingress: readonly Ingress[];
  readonly answers: readonly Answer[];
}

/** The status of a member, from what was refused, what failed and what the provider observed. */
export function memberStatus(view: MemberView): MemberStatus {
  const { service, member, refusals, failures, observed, ipMode } = view;
  const kept = view.kept || refusals.some((refusal) => refusal.kept);
  const problems = [...refusals, ...failures];
  const serves = member !== undefined && (view.kept || servesSomething(member, refusals));
  const seen = observed?.addresses ?? [];
  const listsPorts = kept || problems.length > 0 || (member?.listeners.length ?? 0) > LISTED;
  const ingress = serves ? ingressOf({ service, member, ipMode, addresses: seen, problems, listsPorts }) : [];
  const families = new Set(member?.families.map(({ family }) => family));
  const addresses = seen.filter(
    (address) => ingress.length > 0 && (address.kind === 'hostname' || families.has(address.family)),
  );
  const readiness = observed?.readiness.get(service.metadata.uid);
  const answers = answersOf({ ...view, kept, addresses, published: ingress.map(textOf), readiness });
  return { ingress, answers };
}

function textOf({ ip, hostname = '' }: Ingress): string {
  return ip === undefined ? hostname : (parseIp(ip)?.text ?? ip);
}

function servesSomething(member: Member, refusals: readonly Problem[]): boolean {
  if (refusals.some(({ listener, kept }) => listener === undefined && !kept)) return false;
  const refused = new Set(refusals.flatMap(({ listener }) => (listener ? listenerKey(listener) : [])));
  return member.listeners.some((listener) => !refused.has(listenerKey(listener)));
}

/** The part of a Service's status that is written: all of it, so that a merge patch leaves nothing of the old. */
export interface StatusFields {
  readonly loadBalancer: { readonly ingress: readonly Ingress[] | null };
  readonly conditions: readonly Condition[] | null;
}

/** The fields to write, or undefined when the Service's status says the same already. `now` is RFC 3339. */
export function statusFields(service: Service, status: MemberStatus, now: string): StatusFields | undefined {
  const conditions = mergeConditions(service, status.answers, now);
  const same =
    sameIngress(currentIngress(service), status.ingress) && sameConditions(currentConditions(service), conditions);
  return same ? undefined : fieldsOf(status.ingress, conditions);
}

/** The fields that leave of the status only these entries and foreign conditions; undefined when nothing else is there. */
export function clearedStatusFields(service: Service, ingress: readonly Ingress[] = []): StatusFields | undefined {
  const conditions = foreignConditions(service);
  const clear =
    currentIngress(service).length === ingress.length && conditions.length === currentConditions(service).length;
  return clear ? undefined : fieldsOf(ingress, conditions);
}

/**
 * The entries that another controller may have written. Ours are those with our errors at their ports, and those whose
 * address one of our conditions names: nothing else tells whose an entry is after a restart.
 */
export function foreignIngress(service: Service): readonly Ingress[] {
  const ours = currentConditions(service).filter((condition) => !foreignConditions(service).includes(condition));
  const named = new Set(ours.flatMap(({ message }) => message.split(/[\s,;]+/).map((word) => word.replace(/\.$/, ''))));
  return currentIngress(service).filter((entry) => {
    const marked = entry.ports?.some(({ error }) => error?.startsWith(PREFIX));
    return !marked && !named.has(textOf(entry));
  });
}

function fieldsOf(ingress: readonly Ingress[], conditions: readonly Condition[]): StatusFields {
  return {
    loadBalancer: { ingress: ingress.length === 0 ? null : ingress },
    conditions: conditions.length === 0 ? null : conditions,
  };
}
