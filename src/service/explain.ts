/** Why a Service has the address that it has, or none: every decision in order, in plain words. Pure. */
import type { Condition, EndpointSlice, Service } from '../kube/wire.ts';
import { claimOf, type ClaimRules } from '../loadbalancer/claim.ts';
import { ACCEPTED, PROGRAMMED, READY, currentCondition } from '../loadbalancer/conditions.ts';
import { memberName } from '../loadbalancer/identity.ts';
import { publishedAddressesOf } from '../loadbalancer/member.ts';
import { listenerKey, type Member, type NodeSet, type Refusal } from '../loadbalancer/model.ts';
import type { LeftOutNode } from '../loadbalancer/nodes.ts';
import { explainEndpoints } from './explainendpoints.ts';
import { finalizerOf, hasFinalizer } from './finalizers.ts';
import { foldPorts } from './foldports.ts';
import { explainLeader, type Leadership } from './leadership.ts';
import { portName, portsWithoutNodePort } from './nodeports.ts';
import { keyName } from './ports.ts';
import type { Preview } from './preview.ts';
import { info, listed, no, yes, type Decision } from './verdict.ts';

export type { Decision };

export interface ExplainFacts {
  readonly provider: string;
  readonly needsNodePorts: boolean;
  readonly rules: ClaimRules;
  /** What a reconcile would find and do; undefined when the Service is not this provider's. */
  readonly preview: Preview | undefined;
  readonly nodes: NodeSet;
  readonly leftOut: readonly LeftOutNode[];
  /** Names of nodes that vanished and are kept for a while. */
  readonly held: readonly string[];
  /** Those of the Service. */
  readonly endpointSlices: readonly EndpointSlice[];
  readonly leadership?: Leadership;
}

export function explain(service: Service, facts: ExplainFacts): readonly Decision[] {
  const claimed = explainClaim(service, facts);
  const { preview } = facts;
  if (preview === undefined || claimed.some(({ verdict }) => verdict === 'no')) return claimed;
  const { uid } = service.metadata;
  const refusals = [...preview.wanted.refusals, ...preview.plan.refusals].filter(({ member }) => member === uid);
  const member = preview.wanted.desired?.members.find(({ ref }) => ref.uid === uid);
  // What was refused has been explained where it was.
  const failure = refusals.length === 0 ? lastFailureOf(service) : undefined;
  const outside = explainOutside(service, preview, refusals, failure);
  return [
    ...claimed,
    ...explainRequest(service, preview, refusals),
    ...explainPorts(service, facts, member, refusals),
    ...explainTargets(service, facts, member),
    ...outside,
    ...explainStatus(service, outside),
  ];
}

function explainClaim(service: Service, { provider, rules, leadership }: ExplainFacts): readonly Decision[] {
  const claim = claimOf(service, rules);
  const held = hasFinalizer(service, provider)
    ? [info('finalizer', `It still has ${finalizerOf(provider)}: ${provider} removes what it made, then lets it go.`)]
    : [];
  if (claim.provider === undefined) return [no('claim', `Ballast leaves it alone: ${claim.why}.`), ...held];
  const claimed = yes('claim', `The provider ${claim.provider} takes it: ${claim.why}.`);
  if (claim.provider !== provider) return [claimed, ...held];
  if (service.metadata.deletionTimestamp !== undefined) {
    return [claimed, no('deletion', 'It is being deleted, so its load balancer goes.'), ...held];
  }
  return [claimed, ...(leadership === undefined ? [] : [explainLeader(leadership)])];
}

function explainRequest(service: Service, preview: Preview, refusals: readonly Refusal[]): readonly Decision[] {
  const { id, members, wanted, kept } = preview;
  const others = members.map(keyName).filter((name) => name !== keyName(service));
  const shared = others.length === 0 ? 'with no other Service yet' : `with ${listed(others)}`;
  const whose =
    id.kind === 'service'
      ? 'It has a load balancer of its own.'
      : `It shares the load balancer ${memberName(id)} ${shared}.`;
  const whole = refusals.filter(({ listener }) => listener === undefined);
  const asked = whole.filter((refusal) => wanted.refusals.includes(refusal));
  const given = whole.filter((refusal) => !wanted.refusals.includes(refusal));
  return [
    info('load balancer', whose),
    ...(asked.length === 0 ? [yes('request', 'What it asks for makes sense.')] : []),
    ...asked.map(({ code, message }) => no('request', `${code}: ${message}`)),
    ...given.map(({ code, message }) => no('address', `${code}: ${message}`)),
    ...(kept || whole.some((refusal) => refusal.kept)
      ? [info('request', 'Until the request is accepted, the load balancer keeps its group, address and settings.')]
      : []),
    ...wanted.warnings
      .filter(({ member }) => member === service.metadata.uid)
      .map(({ message }) => info('annotations', message)),
  ];
}

function explainPorts(
  service: Service,
  { needsNodePorts }: ExplainFacts,
  member: Member | undefined,
  refusals: readonly Refusal[],
): readonly Decision[] {
  const missing = needsNodePorts ? portsWithoutNodePort(service).map(portName) : [];
  const served = (member?.listeners ?? []).map(
    (listener) =>
      `${listenerKey(listener)}${listener.nodePort === undefined ? '' : ` → NodePort ${listener.nodePort}`}`,
  );
  return [
    ...(missing.length > 0 ? [no('NodePorts', `No NodePort yet for ${listed(missing)}; Ballast allocates them.`)] : []),
    ...refusals
      .filter(({ listener, code }) => listener !== undefined && code !== 'NodePortMissing')
      .map(({ code, message }) => no('ports', `${code}: ${message}`)),
    ...(served.length > 0 ? [yes('ports', `Listens on ${listed(served)}.`)] : []),
  ];
}

function explainTargets(
  service: Service,
  { nodes, leftOut, held, endpointSlices }: ExplainFacts,
  member: Member | undefined,
): readonly Decision[] {
  const names = nodes.nodes.map(({ name }) => name);
  const without = leftOut.map(({ name, why }) => `${name}: ${why}`);
  const excluded = [
    ...(without.length === 0 ? [] : [info('nodes', `Left out: ${listed(without, '; ')}.`)]),
    ...(held.length === 0
      ? []
      : [info('nodes', `Vanished at once with others, and kept for a while (--node-loss-hold): ${listed(held)}.`)]),
  ];
  if (names.length === 0) return [no('nodes', 'No node may receive traffic.'), ...excluded];
  const eligible = yes('nodes', `${names.length} may receive traffic: ${listed(names)}.`);
  const endpoints = explainEndpoints(service, endpointSlices);
  const { endpointNodes } = member ?? {};
  if (endpointNodes === undefined || endpoints.verdict === 'no') return [eligible, ...excluded, endpoints];
  const local = endpointNodes.filter((name) => names.includes(name));
  const policy = 'externalTrafficPolicy is Local';
  return [
    eligible,
    ...excluded,
    local.length === 0
      ? no('endpoints', `${policy}, and no such node has a ready or serving endpoint; start pods, or use Cluster.`)
      : yes('endpoints', `${policy}; ${local.length} of these nodes have an endpoint: ${listed(local)}.`),
  ];
}

function explainOutside(
  service: Service,
  preview: Preview,
  refusals: readonly Refusal[],
  failure: string | undefined,
): readonly Decision[] {
  const { plan, status, wanted } = preview;
  const addresses = (status?.addresses ?? []).map((address) => (address.kind === 'ip' ? address.ip : address.hostname));
  const readiness = status?.readiness.get(service.metadata.uid);
  const steps = plan.steps.map(({ summary }) => summary);
  const refused = refusals.some((refusal) => refusal.listener === undefined && !refusal.kept);
  const served = wanted.desired?.members.some(({ ref }) => ref.uid === service.metadata.uid) && !refused;
  return [
    ...(served && addresses.length > 0 ? [yes('address', `The load balancer has ${listed(addresses)}.`)] : []),
    ...(served && addresses.length === 0 ? [no('address', failure ?? 'The load balancer has no address yet.')] : []),
    ...(served && addresses.length > 0 && failure !== undefined ? [no('last attempt', failure)] : []),
    steps.length === 0
      ? yes('plan', 'Nothing is left to do.')
      : info('plan', `${steps.length} steps are left: ${listed(steps, '; ')}.`),
    ...(served && readiness
      ? [(readiness.ready ? yes : no)('traffic', `${readiness.reason}: ${readiness.message}`)]
      : []),
  ];
}

/** Reasons of Programmed that say "wait" or "see Accepted", not what failed. */
const NO_FAILURE: ReadonlySet<string> = new Set(['Pending', 'NotAccepted']);

/** What the last attempt for this very request failed with: who explains sees what is left to do, but not why. */
function lastFailureOf(service: Service): string | undefined {
  const programmed = currentCondition(service, PROGRAMMED);
  if (programmed?.status !== 'False' || NO_FAILURE.has(programmed.reason)) return undefined;
  const { generation } = service.metadata;
  const isOld = generation !== undefined && programmed.observedGeneration !== generation;
  return isOld ? undefined : conditionText(programmed);
}

function explainStatus(service: Service, told: readonly Decision[]): readonly Decision[] {
  const published = publishedAddressesOf(service);
  return [
    published.length > 0
      ? yes('status', `EXTERNAL-IP shows ${listed(published)}.`)
      : no('status', 'EXTERNAL-IP shows nothing.'),
    ...[ACCEPTED, PROGRAMMED, READY].map((type) => {
      const condition = currentCondition(service, type);
      if (condition === undefined) return info(type, 'Not written yet.');
      const text = conditionText(condition);
      if (condition.status === 'True') return yes(type, text);
      const same = type === PROGRAMMED ? told.find((decision) => decision.text === text) : undefined;
      return no(type, same ? `${condition.reason}: see “${same.subject}”.` : text);
    }),
  ];
}

function conditionText({ reason, message }: Condition): string {
  return `${reason}: ${foldPorts(message)}`;
}
