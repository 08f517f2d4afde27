/** The steps from what exists to what is desired. Pure. */
import { memberName } from '#src/loadbalancer/identity';
import { parseIp } from '#src/loadbalancer/ip';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import type { Plan } from '#src/loadbalancer/provider';
import { endpointKey, sameSpec, type ListenerSpec } from './listener-spec.ts';
import type { Observed } from './observed.ts';
import type { ProxyOptions } from './options.ts';
import { place, type Placement } from './placement.ts';
import {
  addInterfaceAddress,
  assignAddress,
  closeListener,
  dropTargets,
  freePort,
  openListener,
  portKey,
  releaseAddress,
  setTargets,
  updateListener,
  type ProxyStep,
} from './steps.ts';
import { sameTargets, targetsOf } from './targets.ts';

const NOTHING: Placement = { members: [], addresses: [], listeners: [], refusals: [] };

/**
 * Everything that is needed is made before anything is taken away: targets, then each address with its listeners,
 * then what closes. The targets of a member are its proof of holding a part, so they come first and go last.
 */
export function planLoadBalancer(
  desired: DesiredLoadBalancer | undefined,
  observed: Observed,
  options: ProxyOptions,
): Plan<ProxyStep> {
  const placement = desired ? place(desired, observed, options) : NOTHING;
  const steps = [
    ...(desired ? targetSteps(desired, placement, observed) : []),
    ...placement.addresses.flatMap((address) => addressSteps(address, placement, observed, options)),
    ...leavingSteps(placement, observed, options),
  ];
  return { steps: withoutIdleNeeds(steps), refusals: placement.refusals };
}

/** Steps need only what the plan itself brings about; the rest is there. */
function withoutIdleNeeds(steps: readonly ProxyStep[]): readonly ProxyStep[] {
  const scopes = new Set(steps.map(({ scope }) => scope));
  return steps.map(({ needs = [], ...step }) => {
    const left = needs.filter((each) => scopes.has(each));
    return left.length > 0 ? { ...step, needs: left } : step;
  });
}

function targetSteps(desired: DesiredLoadBalancer, { members }: Placement, observed: Observed): readonly ProxyStep[] {
  const steps: ProxyStep[] = [];
  for (const member of members) {
    const targets = targetsOf(member, desired.nodes);
    const before = observed.targets.find((each) => each.member === member.ref.uid);
    if (before && sameTargets(targets, before)) continue;
    steps.push(setTargets(observed.id, { uid: member.ref.uid, name: memberName(member.ref) }, targets, before));
  }
  return steps;
}

/** One address after the other, so that trouble with one leaves the others working. */
function addressSteps(
  address: string,
  placement: Placement,
  { id, addresses, local, listeners }: Observed,
  options: ProxyOptions,
): readonly ProxyStep[] {
  const steps: ProxyStep[] = [];
  if (!addresses.includes(address)) steps.push(assignAddress(id, address));
  if (options.interface !== undefined && local && !isLocal(address, local)) {
    steps.push(addInterfaceAddress(id, address, options.interface));
  }
  for (const spec of placement.listeners.filter((each) => each.address === address)) {
    const before = listeners.find((each) => endpointKey(each) === endpointKey(spec));
    if (!before) steps.push(openListener(id, spec));
    else if (!sameSpec(before, spec)) steps.push(updateListener(id, spec, before));
  }
  return steps;
}

/** On Linux all of 127.0.0.0/8 is local, though only 127.0.0.1 is listed. */
function isLocal(address: string, local: ReadonlySet<string>): boolean {
  const parsed = parseIp(address);
  return local.has(address) || (parsed?.family === 'IPv4' && parsed.value >> 24n === 127n);
}

function leavingSteps(placement: Placement, observed: Observed, options: ProxyOptions): readonly ProxyStep[] {
  const { id } = observed;
  const wanted = new Set(placement.listeners.map(endpointKey));
  const closing = observed.listeners.filter((each) => !wanted.has(endpointKey(each)));
  const unneeded = observed.addresses.filter((each) => !placement.addresses.includes(each));
  // Taking an address off the interface would break the connections that still go on over it.
  const releasable = unneeded.filter((each) => !observed.draining.includes(each));
  const waiting = releasable.length < unneeded.length;
  const sockets = (isMeant: (each: ListenerSpec) => boolean): readonly string[] =>
    observed.listeners.filter(isMeant).map(endpointKey);
  const served = new Set(placement.members.map((member) => member.ref.uid));
  const leaving = observed.targets.filter(({ member }) => !served.has(member));
  const holdsOn = waiting && served.size === 0;
  const isWanted = (address: string, port: string): boolean =>
    placement.listeners.some((each) => each.address === address && portKey(each) === port);
  // Releasing an address frees all of its ports.
  const forgotten = [...observed.reserved]
    .filter(([address]) => !releasable.includes(address))
    .flatMap(([address, ports]) => [...ports].map((port) => ({ address, port })))
    .filter(({ address, port }) => !isWanted(address, port));
  return [
    ...closing.map((each) => closeListener(id, each, successors(each, placement))),
    ...forgotten.map(({ address, port }) => freePort(id, address, port)),
    ...releasable.map((each) => {
      const needs = sockets(({ address }) => address === each);
      return releaseAddress(id, each, options.interface, needs);
    }),
    ...(holdsOn
      ? []
      : leaving.map(({ member }) => {
          const needs = [...sockets((each) => each.member === member), ...releasable];
          return dropTargets(id, member, needs);
        })),
  ];
}

/**
 * The sockets that serve in place of a closing one: where its port moves to another address, all of that family, so that
 * an address goes as a whole or stays as a whole.
 */
function successors(closing: ListenerSpec, { listeners }: Placement): readonly string[] {
  const family = listeners.filter((each) => each.family === closing.family);
  return family.some((each) => portKey(each) === portKey(closing)) ? family.map(endpointKey) : [];
}
