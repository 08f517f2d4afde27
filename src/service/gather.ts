import type { Service } from '../kube/wire.ts';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import type { Ledger } from './ledger.ts';
import type { Roster } from './roster.ts';

/** Everything in the stores that one load balancer is about. */
export interface Gathered {
  /** The Services that ask for it. */
  readonly members: readonly Service[];
  /** The Services that are leaving: held by it, or standing under its name. */
  readonly leaving: readonly Service[];
}

/** `held` are the UIDs that the provider has just been found to hold for this load balancer. */
export function gather(key: LoadBalancerKey, roster: Roster, ledger: Ledger): Gathered {
  const leaving = new Map(roster.leaving(key).map((service) => [service.metadata.uid, service]));
  for (const uid of ledger.heldBy(key)) {
    const part = roster.byUid(uid);
    if (part?.kind === 'leaving') leaving.set(uid, part.service);
  }
  return { members: roster.members(key), leaving: [...leaving.values()] };
}
