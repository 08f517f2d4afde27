/** What the provider of the small cloud does to get from what it found to what is desired. */
import { isDeepStrictEqual } from 'node:util';
import { keyOf, memberName } from '#src/loadbalancer/identity';
import { parseIp } from '#src/loadbalancer/ip';
import { listenerKey, type DesiredLoadBalancer, type LoadBalancerId, type Member } from '#src/loadbalancer/model';
import type { Plan, PlanStep } from '#src/loadbalancer/provider';
import { chooseAddresses } from '../fakes/recording-provider.ts';
import type { CloudBalancer, CloudListener, CloudState, CloudTargetGroup } from './cloud.ts';

/** What a target group is to be. */
export type TargetGroupContent = Omit<CloudTargetGroup, 'id' | 'owner'>;

/** Where a step needs several requests, a process may die between any two of them. */
export type CloudStep = PlanStep & { readonly id: LoadBalancerId } & (
    | { readonly kind: 'create-balancer'; readonly content: Omit<CloudBalancer, 'id' | 'owner'> }
    | { readonly kind: 'set-addresses'; readonly addresses: readonly string[] }
    | { readonly kind: 'set-members'; readonly members: readonly string[] }
    | { readonly kind: 'put-listener'; readonly content: TargetGroupContent }
    | { readonly kind: 'remove-listener'; readonly listener: Pick<CloudListener, 'port' | 'protocol'> }
    | { readonly kind: 'delete-balancer' }
  );

export interface CloudObserved extends CloudState {
  readonly id: LoadBalancerId;
}

export function planCloud(desired: DesiredLoadBalancer | undefined, observed: CloudObserved): Plan<CloudStep> {
  if (!desired) return { steps: planNothing(observed), refusals: [] };
  const { id } = desired;
  const [balancer] = observed.balancers;
  const pool = observed.addresses.map(({ address, owner }) => ({ address, family: familyOf(address), owner }));
  const has = (balancer?.addresses ?? []).map((address) => ({ address, family: familyOf(address) }));
  const choice = chooseAddresses(desired, { balancer: { addresses: has }, pool });
  const served = desired.members.filter(({ ref }) => !choice.refusals.some(({ member }) => member === ref.uid));
  if (served.length === 0) return { steps: planNothing(observed), refusals: choice.refusals };

  const members = served.map(({ ref }) => ref.uid).toSorted();
  const addresses = choice.addresses.map(({ address }) => address).toSorted();
  const wanted = served.flatMap((member) => targetGroupsOf(member, desired));
  const steps: CloudStep[] = [];
  if (!balancer) steps.push(createBalancer(id, { members, addresses }));
  else if (!isDeepStrictEqual(balancer.addresses, addresses)) steps.push(setAddresses(id, addresses));
  steps.push(
    ...presentListeners(observed)
      .filter((each) => !wanted.some((other) => listenerKey(other) === listenerKey(each)))
      .map((each) => removeListener(id, each)),
    ...wanted.filter((each) => !isThere(each, observed)).map((each) => putListener(id, each)),
  );
  if (balancer && !isDeepStrictEqual(balancer.members, members)) steps.push(setMembers(id, members));
  return { steps, refusals: choice.refusals };
}

function planNothing(observed: CloudObserved): readonly CloudStep[] {
  const { id, balancers } = observed;
  const present = presentListeners(observed);
  return [
    ...present.map((each) => removeListener(id, each)),
    ...(balancers.length > 0 ? [deleteBalancer(id, present.map(listenerKey))] : []),
  ];
}

/** Also those of which only the half exists. */
function presentListeners({ targetGroups, listeners }: CloudState): CloudListenerRef[] {
  const refs = [...listeners, ...targetGroups].map(({ port, protocol }) => ({ port, protocol }));
  return [...new Map(refs.map((ref) => [listenerKey(ref), ref])).values()];
}

type CloudListenerRef = Pick<CloudListener, 'port' | 'protocol'>;

function isThere(content: TargetGroupContent, { targetGroups, listeners }: CloudState): boolean {
  const group = targetGroups.find((each) => listenerKey(each) === listenerKey(content));
  if (!group || !listeners.some(({ targetGroup }) => targetGroup === group.id)) return false;
  const { id: _id, owner: _owner, ...present } = group;
  return isDeepStrictEqual(present, content);
}

function targetGroupsOf(member: Member, { nodes }: DesiredLoadBalancer): readonly TargetGroupContent[] {
  const { trafficPolicy, healthCheckNodePort, affinitySeconds, sourceRanges, settings, endpointNodes } = member;
  const eligible = nodes.nodes.filter(({ name }) => endpointNodes === undefined || endpointNodes.includes(name));
  const entries = Object.entries(settings).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return member.listeners.map(({ port, protocol, nodePort }) => ({
    member: member.ref.uid,
    port,
    protocol,
    families: member.families.map(({ family }) => family),
    config: JSON.stringify({ trafficPolicy, healthCheckNodePort, affinitySeconds, sourceRanges, entries }),
    targets: eligible
      .flatMap(({ addresses }) => Object.values(addresses).map((address) => `${address}:${nodePort}`))
      .toSorted(),
  }));
}

function familyOf(address: string): 'IPv4' | 'IPv6' {
  return parseIp(address)?.family ?? 'IPv4';
}

/** The owner's tag of all that a load balancer consists of. */
export function ownerOf(id: LoadBalancerId): string {
  return keyOf(id);
}

function createBalancer(id: LoadBalancerId, content: Omit<CloudBalancer, 'id' | 'owner'>): CloudStep {
  const summary = `create the load balancer of ${memberName(id)} at ${content.addresses.join(', ')}`;
  return { kind: 'create-balancer', id, content, summary, impact: 'none' };
}

function setAddresses(id: LoadBalancerId, addresses: readonly string[]): CloudStep {
  const summary = `move the load balancer of ${memberName(id)} to ${addresses.join(', ')}`;
  return { kind: 'set-addresses', id, addresses, summary, impact: 'breaks' };
}

function setMembers(id: LoadBalancerId, members: readonly string[]): CloudStep {
  const summary = `tag the load balancer of ${memberName(id)} with its ${members.length} member(s)`;
  return { kind: 'set-members', id, members, summary, impact: 'none' };
}

function putListener(id: LoadBalancerId, content: TargetGroupContent): CloudStep {
  const { port, protocol } = content;
  const scope = listenerKey(content);
  const summary = `put ${scope} of ${memberName(id)}`;
  return { kind: 'put-listener', id, content, listener: { port, protocol }, scope, summary, impact: 'none' };
}

function removeListener(id: LoadBalancerId, listener: CloudListenerRef): CloudStep {
  const scope = listenerKey(listener);
  const summary = `remove ${scope} of ${memberName(id)}`;
  return { kind: 'remove-listener', id, listener, scope, summary, impact: 'drains' };
}

/** `needs`: the listeners, for the cloud deletes nothing that is in use. */
function deleteBalancer(id: LoadBalancerId, needs: readonly string[]): CloudStep {
  const summary = `delete the load balancer of ${memberName(id)}`;
  return { kind: 'delete-balancer', id, needs, summary, impact: 'breaks' };
}
