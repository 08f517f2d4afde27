import type { Service } from '../kube/wire.ts';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import { publishedAddressesOf } from '../loadbalancer/member.ts';
import type { Ledger } from './ledger.ts';
import type { Roster } from './roster.ts';

/** Everything in the stores that one load balancer is about. */
export interface Gathered {
  /** The Services that ask for it. */
  readonly members: readonly Service[];
  /** The Services that are leaving: held by it, or standing under its name. */
  readonly leaving: readonly Service[];
}

/**
 * A Service whose group is refused stands under its own name; one that a group holds stays that group's member all the
 * same, until it names another that makes sense.
 */
export function gather(key: LoadBalancerKey, roster: Roster, ledger: Ledger): Gathered {
  const leaving = new Map(roster.leaving(key).map((service) => [service.metadata.uid, service]));
  for (const uid of ledger.heldBy(key)) {
    const part = roster.byUid(uid);
    if (part?.kind === 'leaving') leaving.set(uid, part.service);
  }
  const own = roster.members(key).filter((service) => homeOf(service, key, roster, ledger) === key);
  const strays = [...ledger.heldBy(key)].flatMap((uid) => {
    const part = roster.byUid(uid);
    if (part?.kind !== 'member' || part.key === key) return [];
    return homeOf(part.service, part.key, roster, ledger) === key ? part.service : [];
  });
  return { members: [...own, ...strays], leaving: [...leaving.values()] };
}

/** The load balancer that a member stays with; `named` is the one under which it stands. */
export function homeOf(service: Service, named: LoadBalancerKey, roster: Roster, ledger: Ledger): LoadBalancerKey {
  const holders = ledger.holdersOf(service.metadata.uid);
  if (holders.has(named) || !roster.isRefusedGroup(service)) return named;
  const possible = [...holders].filter((holder) => roster.mayStay(service, holder)).toSorted();
  const last = roster.lastNamed(service);
  if (last !== undefined && possible.includes(last)) return last;
  // It may have left one for another, and the one it left may not have let go of it yet.
  return possible.find((holder) => sharesAddress(service, roster.members(holder))) ?? possible[0] ?? named;
}

/** Whether the Service shows an address that one of the others shows. */
function sharesAddress(service: Service, others: readonly Service[]): boolean {
  const own = publishedAddressesOf(service);
  return others.some((other) => publishedAddressesOf(other).some((address) => own.includes(address)));
}
