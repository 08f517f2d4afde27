/** Who of a load balancer is served, where, and who is not. Pure. */
import { keyOf, memberName, parseKey } from '#src/loadbalancer/identity';
import { listenerKey, type DesiredLoadBalancer, type IpFamily, type Listener } from '#src/loadbalancer/model';
import type { Member, Refusal } from '#src/loadbalancer/model';
import { chooseAddress, wants, type FamilyChoice, type Unavailable } from './allocation.ts';
import { endpointKey, listenerSettings, type ListenerSpec } from './listener-spec.ts';
import { useOf, type Observed } from './observed.ts';
import type { ProxyOptions } from './options.ts';
import { isReserved } from './reserved-ports.ts';

const FAMILIES: readonly IpFamily[] = ['IPv4', 'IPv6'];

export interface Placement {
  /** Members of which at least one listener is served, oldest first. */
  readonly members: readonly Member[];
  /** The addresses that they need. */
  readonly addresses: readonly string[];
  readonly listeners: readonly ListenerSpec[];
  readonly refusals: readonly Refusal[];
}

/**
 * Places every member on the load balancer's addresses. A member that requires a family, or asks for an address, that
 * cannot be had is refused as a whole, as is one that would have no address; a listener whose port another load
 * balancer has on a shared address is refused by itself and is then open nowhere.
 */
export function place(desired: DesiredLoadBalancer, observed: Observed, options: ProxyOptions): Placement {
  const choices = new Map(
    FAMILIES.filter((family) => desired.members.some((member) => wants(member, family))).map(
      (family) => [family, chooseAddress(family, desired, observed, options.pool)] as const,
    ),
  );
  const members: Member[] = [];
  const listeners: ListenerSpec[] = [];
  const refusals: Refusal[] = [];
  for (const member of desired.members) {
    const refusal = refuseMember(member, choices);
    if (refusal) {
      refusals.push({ member: member.ref.uid, ...refusal });
      continue;
    }
    const before = listeners.length;
    for (const listener of member.listeners) {
      const placed = placeListener(listener, member, choices, desired, observed, options);
      if ('code' in placed) {
        const { port, protocol } = listener;
        refusals.push({ member: member.ref.uid, listener: { port, protocol }, field: 'spec.ports', ...placed });
      } else {
        listeners.push(...placed.specs);
      }
    }
    if (listeners.length > before) members.push(member);
  }
  return { members, addresses: [...new Set(listeners.map(({ address }) => address))], listeners, refusals };
}

function refuseMember(member: Member, choices: ReadonlyMap<IpFamily, FamilyChoice>): Unavailable | undefined {
  for (const choice of choices.values()) {
    const refusal = choice.refused.get(member.ref.uid);
    if (refusal) return refusal;
  }
  const lacking = member.families.filter(({ family }) => choices.get(family)?.address === undefined);
  const missing =
    lacking.find(({ required }) => required) ?? (lacking.length === member.families.length ? lacking[0] : undefined);
  return missing && choices.get(missing.family)?.unavailable;
}

function placeListener(
  listener: Listener,
  member: Member,
  choices: ReadonlyMap<IpFamily, FamilyChoice>,
  desired: DesiredLoadBalancer,
  observed: Observed,
  options: ProxyOptions,
): { readonly specs: readonly ListenerSpec[] } | Unavailable {
  const { port, protocol } = listener;
  const nodePort = options.listen ? listener.nodePort : 0;
  if (protocol === 'SCTP') {
    return {
      code: 'UnsupportedProtocol',
      message: `The proxy provider cannot carry ${listenerKey(listener)}: no SCTP.`,
    };
  }
  if (isReserved(port, options.reservedPorts)) {
    const message = `The port ${port} is kept for the machine itself (--proxy-reserved-ports); choose another one.`;
    return { code: 'PortNotAllowed', message };
  }
  if (nodePort === undefined) {
    return { code: 'NodePortMissing', message: `${listenerKey(listener)} has no NodePort yet.` };
  }
  const specs: ListenerSpec[] = [];
  for (const { family } of member.families) {
    const address = choices.get(family)?.address;
    if (address === undefined) continue;
    const settings = listenerSettings(member, protocol, options);
    const spec: ListenerSpec = { address, family, port, protocol, member: member.ref.uid, nodePort, settings };
    const holder = useOf(observed.holdings, address)?.ports.get(listenerKey(listener));
    if (holder !== undefined && holder !== keyOf(desired.id)) {
      const message =
        `${endpointKey(spec)} is held by the load balancer ${memberName(parseKey(holder))}, and both have the same ` +
        'address; choose another port, or add addresses to --proxy-addresses.';
      return { code: 'PortConflict', message, waitsFor: [endpointKey(spec)] };
    }
    specs.push(spec);
  }
  return { specs };
}
