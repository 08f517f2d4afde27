import type { LoadBalancerKey } from '../loadbalancer/identity.ts';

const NONE: ReadonlySet<never> = new Set();

/**
 * Which load balancers hold a part of which Service, as the provider last observed it. A Service's finalizer may go
 * only when nothing here holds it.
 */
export class Ledger {
  readonly #held = new Map<LoadBalancerKey, ReadonlySet<string>>();
  readonly #holders = new Map<string, Set<LoadBalancerKey>>();
  /** The Services that a running reconcile is about to hold, by load balancer. */
  readonly #intended = new Map<LoadBalancerKey, ReadonlySet<string>>();

  /** UIDs of the Services that the load balancer holds a part of. */
  heldBy(key: LoadBalancerKey): ReadonlySet<string> {
    return this.#held.get(key) ?? NONE;
  }

  /** The load balancers that hold a part of the Service. */
  holdersOf(uid: string): ReadonlySet<LoadBalancerKey> {
    return this.#holders.get(uid) ?? NONE;
  }

  /** Whether a load balancer holds a part of the Service, or a running reconcile means to. */
  mayHold(uid: string): boolean {
    return this.#holders.has(uid) || [...this.#intended.values()].some((uids) => uids.has(uid));
  }

  /** A reconcile of the load balancer has begun that means to hold these: nobody lets go of them until it has ended. */
  intend(key: LoadBalancerKey, uids: Iterable<string>): void {
    this.#intended.set(key, new Set(uids));
  }

  /** The reconcile has ended: only what is observed counts. Gives what it meant to hold. */
  endIntent(key: LoadBalancerKey): ReadonlySet<string> {
    const uids = this.#intended.get(key) ?? NONE;
    this.#intended.delete(key);
    return uids;
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
