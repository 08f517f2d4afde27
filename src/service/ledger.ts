import type { LoadBalancerKey } from '../loadbalancer/identity.ts';

const NONE: ReadonlySet<never> = new Set();

/**
 * Which load balancers hold a part of which Service, as the provider last observed it. A Service's finalizer may go
 * only when nothing here holds it.
 */
export class Ledger {
  readonly #held = new Map<LoadBalancerKey, ReadonlySet<string>>();
  readonly #holders = new Map<string, Set<LoadBalancerKey>>();

  /** UIDs of the Services that the load balancer holds a part of. */
  heldBy(key: LoadBalancerKey): ReadonlySet<string> {
    return this.#held.get(key) ?? NONE;
  }

  /** The load balancers that hold a part of the Service. */
  holdersOf(uid: string): ReadonlySet<LoadBalancerKey> {
    return this.#holders.get(uid) ?? NONE;
  }

  /** Every load balancer that holds something. */
  keys(): Iterable<LoadBalancerKey> {
    return this.#held.keys();
  }

  get size(): number {
    return this.#held.size;
  }

  /** What the load balancer holds, freshly observed. */
  observed(key: LoadBalancerKey, uids: Iterable<string>): void {
    const before = this.heldBy(key);
    const after = new Set(uids);
    for (const uid of before) if (!after.has(uid)) this.#remove(key, uid);
    for (const uid of after) this.#add(key, uid);
    if (after.size === 0) this.#held.delete(key);
    else this.#held.set(key, after);
  }

  /** The load balancer is about to hold these too: a crash or a failure on the way leaves them held until observed. */
  expected(key: LoadBalancerKey, uids: Iterable<string>): void {
    this.observed(key, [...this.heldBy(key), ...uids]);
  }

  #add(key: LoadBalancerKey, uid: string): void {
    const keys = this.#holders.get(uid);
    if (keys) keys.add(key);
    else this.#holders.set(uid, new Set([key]));
  }

  #remove(key: LoadBalancerKey, uid: string): void {
    const keys = this.#holders.get(uid);
    keys?.delete(key);
    if (keys?.size === 0) this.#holders.delete(uid);
  }
}
