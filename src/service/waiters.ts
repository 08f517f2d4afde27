import type { ErrorCode } from '../errors.ts';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import type { Refusal } from '../loadbalancer/model.ts';

/** Refusals that end when another load balancer lets go of something. */
const SHARED: ReadonlySet<ErrorCode> = new Set([
  'AddressInUse',
  'AddressPoolExhausted',
  'AddressNotInPool',
  'PortConflict',
  'TooManyListeners',
]);

/**
 * The load balancers that wait for an address or a port that others hold. No event of their own announces that it is
 * free, so whenever something may have been released, all of them have another look.
 */
export class Waiters {
  readonly #keys = new Set<LoadBalancerKey>();

  /** What the provider refused this time decides whether the load balancer waits. */
  note(key: LoadBalancerKey, refusals: readonly Refusal[]): void {
    if (refusals.some(({ code }) => SHARED.has(code))) this.#keys.add(key);
    else this.#keys.delete(key);
  }

  /** All who wait, but not the one that let go. */
  others(key: LoadBalancerKey): readonly LoadBalancerKey[] {
    return [...this.#keys].filter((other) => other !== key);
  }
}
