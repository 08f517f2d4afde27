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

/** What was freed longest ago is forgotten beyond this; it only matters to reconciles that run. */
const REMEMBERED = 10_000;

/**
 * The load balancers that wait for an address or a port that others hold. No event of their own announces that it is
 * free, so whenever something may have been released, all of them have another look; and whoever waits for the very
 * thing that was (`Refusal.waitsFor`, `PlanStep.frees`) has it at once, however often it has failed before.
 */
export class Waiters {
  readonly #keys = new Map<LoadBalancerKey, ReadonlySet<string>>();
  /** When each thing was last freed; the last one is the latest. */
  readonly #freed = new Map<string, number>();
  #now = 0;

  /** A time to compare with: before observing. */
  get now(): number {
    return this.#now;
  }

  /**
   * What the provider refused this time decides whether the load balancer waits. True when something of it was freed
   * since, so that it has to look again.
   */
  note(key: LoadBalancerKey, refusals: readonly Refusal[], since: number): boolean {
    const waiting = refusals.filter(({ code }) => SHARED.has(code));
    if (waiting.length === 0) {
      this.#keys.delete(key);
      return false;
    }
    const things = new Set(waiting.flatMap(({ waitsFor = [] }) => waitsFor));
    this.#keys.set(key, things);
    return [...things].some((thing) => (this.#freed.get(thing) ?? -1) >= since);
  }

  /** All who wait, but not the one that let go. */
  others(key: LoadBalancerKey): readonly LoadBalancerKey[] {
    return [...this.#keys.keys()].filter((other) => other !== key);
  }

  /** These things are free now; gives those who wait for one of them. */
  free(things: readonly string[]): readonly LoadBalancerKey[] {
    if (things.length === 0) return [];
    for (const thing of things) {
      this.#freed.delete(thing);
      this.#freed.set(thing, this.#now);
    }
    this.#now += 1;
    for (const thing of this.#freed.keys()) {
      if (this.#freed.size <= REMEMBERED) break;
      this.#freed.delete(thing);
    }
    return [...this.#keys].filter(([, waits]) => things.some((thing) => waits.has(thing))).map(([key]) => key);
  }
}
