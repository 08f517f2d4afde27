/** What the status of one member Service is to say. */
import type { Condition, Service } from '../kube/wire.ts';
import {
  READY,
  answersOf,
  currentCondition,
  currentConditions,
  foreignConditions,
  mergeConditions,
  sameConditions,
  type Answer,
} from './conditions.ts';
import { currentIngress, ingressOf, sameIngress, type Ingress } from './ingress.ts';
import { listenerKey, type Member } from './model.ts';
import type { Problem } from './problem.ts';
import type { Capabilities, LoadBalancerStatus } from './provider.ts';

export interface MemberView {
  readonly service: Service;
  readonly provider: string;
  readonly ipMode: Capabilities['ipMode'];
  /** Undefined when nothing of the Service is to be served. */
  readonly member: Member | undefined;
  /** The load balancer was left as it was, because its only member is refused. */
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
  const { service, member, kept, refusals, failures, observed, ipMode } = view;
  const ingress = kept
    ? currentIngress(service)
    : member !== undefined && servesSomething(member, refusals)
      ? ingressOf({
          service,
          member,
          ipMode,
          addresses: observed?.addresses ?? [],
          problems: [...refusals, ...failures],
        })
      : [];
  const families = new Set(member?.families.map(({ family }) => family));
  const addresses = (observed?.addresses ?? []).filter(
    (address) => ingress.length > 0 && (address.kind === 'hostname' || families.has(address.family)),
  );
  const answers = answersOf({ ...view, addresses, readiness: observed?.readiness.get(service.metadata.uid) });
  return { ingress, answers: kept ? withReadinessKept(service, answers) : answers };
}

/** Nobody asked the provider about a load balancer that is left as it was, so its readiness is what it was, too. */
function withReadinessKept(service: Service, answers: readonly Answer[]): readonly Answer[] {
  return answers.map((answer) => {
    const old = answer.type === READY ? currentCondition(service, READY) : undefined;
    if (old === undefined) return answer;
    return {
      type: old.type,
      status: old.status === 'True' ? 'True' : 'False',
      reason: old.reason,
      message: old.message,
    };
  });
}

function servesSomething(member: Member, refusals: readonly Problem[]): boolean {
  if (refusals.some(({ listener }) => listener === undefined)) return false;
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

/** The fields that take everything of ours out of the status; undefined when nothing of it is there. */
export function clearedStatusFields(service: Service): StatusFields | undefined {
  const conditions = foreignConditions(service);
  const clear = currentIngress(service).length === 0 && conditions.length === currentConditions(service).length;
  return clear ? undefined : fieldsOf([], conditions);
}

function fieldsOf(ingress: readonly Ingress[], conditions: readonly Condition[]): StatusFields {
  return {
    loadBalancer: { ingress: ingress.length === 0 ? null : ingress },
    conditions: conditions.length === 0 ? null : conditions,
  };
}
