/** Which address a load balancer gets. Pure: who holds what is an argument. */
import type { ErrorCode } from '#src/errors';
import { keyOf, parseKey, memberName } from '#src/loadbalancer/identity';
import { parseIp } from '#src/loadbalancer/ip';
import type { DesiredLoadBalancer, IpFamily, Member } from '#src/loadbalancer/model';
import { useOf, type Observed } from './observed.ts';
import { formatPool, isShared, poolContains, poolSize, type Pool } from './pool.ts';

/** Why something cannot be given. */
export interface Unavailable {
  readonly code: ErrorCode;
  readonly message: string;
  /** What has to become free: an address, `192.0.2.1:80/TCP`, or a family for any address of it. */
  readonly waitsFor?: readonly string[];
}

/** What was decided for one family. */
export interface FamilyChoice {
  /** Undefined when there is none to give; `unavailable` then says why. */
  readonly address: string | undefined;
  readonly unavailable: Unavailable | undefined;
  /** Members whose request cannot be met, by UID. */
  readonly refused: ReadonlyMap<string, Unavailable>;
}

/**
 * Chooses the address of one family: the one that a member asks for, else the one that the load balancer holds, else
 * one that its status shows, else the lowest that is free. A request that cannot be met costs those members that stand
 * for it; the others are served as if it had not been made. A request comes before what is held because somebody who
 * edits it wants the address to change.
 */
export function chooseAddress(
  family: IpFamily,
  desired: DesiredLoadBalancer,
  observed: Observed,
  pool: Pool,
): FamilyChoice {
  const [requested] = ofFamily(desired.requestedAddresses, family);
  if (requested !== undefined) {
    const unavailable = unavailability(requested, family, desired, observed, pool);
    if (!unavailable) return { address: requested, unavailable: undefined, refused: new Map() };
    const refused = new Map(askers(requested, family, desired).map((member) => [member.ref.uid, unavailable]));
    return { ...keepOrFind(family, desired, observed, pool), refused };
  }
  return { ...keepOrFind(family, desired, observed, pool), refused: new Map() };
}

function keepOrFind(
  family: IpFamily,
  desired: DesiredLoadBalancer,
  observed: Observed,
  pool: Pool,
): Omit<FamilyChoice, 'refused'> {
  const own = keyOf(desired.id);
  const isFree = (address: string): boolean =>
    isShared(pool, family) || (useOf(observed.holdings, address)?.holders ?? []).every((holder) => holder === own);
  const held = ofFamily(observed.addresses, family).filter((address) => inPool(pool, address));
  const published = ofFamily(desired.publishedAddresses, family).filter((address) => inPool(pool, address));
  // One that a failed change of address has left without a socket would only fail again.
  const open = held.filter((each) => observed.listeners.some((listener) => listener.address === each));
  const address =
    open.find((each) => published.includes(each)) ??
    open[0] ??
    held.find((each) => published.includes(each)) ??
    held[0] ??
    published.find(isFree) ??
    observed.holdings.free[family];
  return { address, unavailable: address === undefined ? exhausted(family, pool) : undefined };
}

/** Why the load balancer cannot have this address; undefined when it can. */
function unavailability(
  address: string,
  family: IpFamily,
  desired: DesiredLoadBalancer,
  observed: Observed,
  pool: Pool,
): Unavailable | undefined {
  if (!inPool(pool, address)) {
    const have = formatPool(pool);
    const message = `${address} is not one of the provider’s addresses (${have}); ask for one of them, or for none.`;
    return { code: 'AddressNotInPool', message };
  }
  if (isShared(pool, family) || observed.addresses.includes(address)) return undefined;
  const holder = (useOf(observed.holdings, address)?.holders ?? []).find((each) => each !== keyOf(desired.id));
  if (holder === undefined) return undefined;
  const message =
    `${address} is held by the load balancer ${memberName(parseKey(holder))}; ask for another address, or share that ` +
    'load balancer with the annotation ballast.dev/load-balancer.';
  return { code: 'AddressInUse', message, waitsFor: [address] };
}

function exhausted(family: IpFamily, pool: Pool): Unavailable {
  const message =
    poolSize(pool, family) === 0n
      ? `The provider has no ${family} address at all (--proxy-addresses is ${formatPool(pool)}); add one, or do without ${family} in spec.ipFamilies.`
      : `All ${poolSize(pool, family)} ${family} addresses of the provider are in use; add some to --proxy-addresses, or delete Services that no longer need theirs.`;
  return { code: 'AddressPoolExhausted', message, waitsFor: [family] };
}

/** Who stands for a request: the members that made it, or, where that is not known, all that want its family. */
function askers(address: string, family: IpFamily, desired: DesiredLoadBalancer): readonly Member[] {
  const known = desired.members.filter((member) => member.requestedAddresses?.includes(address));
  return known.length > 0 ? known : desired.members.filter((member) => wants(member, family));
}

export function wants(member: Member, family: IpFamily): boolean {
  return member.families.some((wanted) => wanted.family === family);
}

function ofFamily(addresses: readonly string[], family: IpFamily): readonly string[] {
  return addresses.map(parseIp).flatMap((address) => (address?.family === family ? [address.text] : []));
}

function inPool(pool: Pool, address: string): boolean {
  const parsed = parseIp(address);
  return parsed !== undefined && poolContains(pool, parsed);
}
