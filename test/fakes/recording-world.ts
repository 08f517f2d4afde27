/** The outside world of the recording provider: it outlives the provider, as a cloud outlives a controller. */
import { keyOf, type LoadBalancerKey } from '#src/loadbalancer/identity';
import { listenerKey, type IpFamily, type Listener, type LoadBalancerId, type Member } from '#src/loadbalancer/model';

/** One listener as it exists outside, with all that decides what it does. */
export interface WorldListener {
  readonly listener: Listener;
  readonly config: Pick<
    Member,
    'trafficPolicy' | 'healthCheckNodePort' | 'affinitySeconds' | 'sourceRanges' | 'settings'
  >;
  /** Families at whose addresses it listens. */
  readonly families: readonly IpFamily[];
  /** `address:port` of every target. */
  readonly targets: readonly string[];
}

export interface WorldAddress {
  readonly address: string;
  readonly family: IpFamily;
  /** UIDs of the Services for which it was taken. */
  readonly members: readonly string[];
}

export interface WorldLoadBalancer {
  readonly id: LoadBalancerId;
  readonly addresses: readonly WorldAddress[];
  readonly listeners: readonly WorldListener[];
}

export class RecordingWorld {
  readonly #balancers = new Map<LoadBalancerKey, WorldLoadBalancer>();

  get(id: LoadBalancerId): WorldLoadBalancer | undefined {
    return this.#balancers.get(keyOf(id));
  }

  list(): readonly WorldLoadBalancer[] {
    return [...this.#balancers.values()];
  }

  /** Replaces a load balancer's parts; one without any does not exist. */
  change(id: LoadBalancerId, change: (before: WorldLoadBalancer) => Partial<WorldLoadBalancer>): void {
    const before = this.get(id) ?? { id, addresses: [], listeners: [] };
    const after = { ...before, ...change(before) };
    if (after.addresses.length + after.listeners.length === 0) this.#balancers.delete(keyOf(id));
    else this.#balancers.set(keyOf(id), after);
  }

  /** Who has this address. */
  ownerOf(address: string): LoadBalancerId | undefined {
    return this.list().find(({ addresses }) => addresses.some((each) => each.address === address))?.id;
  }

  /** `<address>:<port>/<protocol>` for everything that clients can reach. */
  reachable(): readonly string[] {
    return this.list().flatMap(({ addresses, listeners }) =>
      listeners.flatMap(({ listener, families }) =>
        addresses
          .filter(({ family }) => families.includes(family))
          .map(({ address, family }) => `${family === 'IPv6' ? `[${address}]` : address}:${listenerKey(listener)}`),
      ),
    );
  }
}
