import type { LoadBalancerId } from '#src/loadbalancer/model';
import type { Frontend } from './frontend.ts';
import { drains, endpointKey, type Endpoint, type ListenerSpec } from './listener-spec.ts';
import type { TargetGroup } from './target-group.ts';
import type { ObservedTargets } from './targets.ts';

/** What this process holds of one load balancer. */
export class LoadBalancer {
  readonly id: LoadBalancerId;
  /** By member UID. */
  readonly groups: Map<string, TargetGroup> = new Map();
  /** By endpoint. */
  readonly frontends: Map<string, Frontend> = new Map();
  /** No longer listening, but with connections that still go on. */
  readonly closing: Set<Frontend> = new Set();
  readonly #toldDraining = new Set<string>();

  constructor(id: LoadBalancerId) {
    this.id = id;
  }

  get isEmpty(): boolean {
    return this.groups.size === 0 && this.frontends.size === 0 && this.closing.size === 0;
  }

  frontendAt(endpoint: Endpoint): Frontend | undefined {
    return this.frontends.get(endpointKey(endpoint));
  }

  /** Sorted, so that equal states look equal. */
  listeners(): readonly ListenerSpec[] {
    return [...this.frontends].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, frontend]) => frontend.spec);
  }

  targets(): readonly ObservedTargets[] {
    return [...this.groups.values()].map((group) => group.observe()).toSorted((a, b) => (a.member < b.member ? -1 : 1));
  }

  /** Addresses over which connections go that are let go in their own time once their listeners close, or since. */
  draining(): readonly string[] {
    const open = [...this.frontends.values()].filter(({ spec }) => drains(spec));
    const busy = [...open, ...this.closing].filter(({ size }) => size > 0);
    const addresses = new Set(busy.map(({ spec }) => spec.address));
    for (const address of addresses) this.#toldDraining.add(address);
    return [...addresses].toSorted();
  }

  /** Whether somebody was told that connections go over this address, and may wait for their end. */
  isToldDraining(address: string): boolean {
    return this.#toldDraining.has(address);
  }

  /** Changes whenever the readiness of a member could. */
  readinessDigest(): string {
    return this.targets()
      .map(({ member, health }) => `${member} ${health}`)
      .join('\n');
  }
}
