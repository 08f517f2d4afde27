import type { LoadBalancerKey } from '#src/loadbalancer/identity';
import type { IpFamily, LoadBalancerId } from '#src/loadbalancer/model';
import type { ListenerSpec } from './listener-spec.ts';
import { lookUp, type Snapshot } from './snapshot-map.ts';
import type { ObservedTargets } from './targets.ts';

/** Who uses an address. */
export interface AddressUse {
  readonly holders: readonly LoadBalancerKey[];
  /** Who has each `80/TCP`; filled only where several load balancers may use the address. */
  readonly ports: ReadonlyMap<string, LoadBalancerKey>;
}

/** What planning one load balancer needs to know of all the others. */
export interface Holdings {
  /** Who uses which address; see `useOf`. */
  readonly uses: Snapshot<AddressUse>;
  /** The lowest address of each family that nobody uses, or that all share; undefined when there is none. */
  readonly free: Readonly<Record<IpFamily, string | undefined>>;
}

/** Who uses the address; undefined for nobody. */
export function useOf(holdings: Holdings, address: string): AddressUse | undefined {
  return lookUp(holdings.uses, address);
}

/** What exists of one load balancer. Values only. */
export interface Observed {
  readonly id: LoadBalancerId;
  /** The addresses that it holds, sorted. */
  readonly addresses: readonly string[];
  readonly holdings: Holdings;
  /** Every address of this machine; undefined where the provider does not add any. */
  readonly local: ReadonlySet<string> | undefined;
  /** The sockets that are open, by what they are set to. */
  readonly listeners: readonly ListenerSpec[];
  readonly targets: readonly ObservedTargets[];
  /** By address, ports (`80/TCP`) that it had before this process began and that nothing has opened yet. */
  readonly reserved: ReadonlyMap<string, ReadonlySet<string>>;
  /** Addresses that must stay on the interface while the connections there go on, of closed listeners or ones to be closed. */
  readonly draining: readonly string[];
}
