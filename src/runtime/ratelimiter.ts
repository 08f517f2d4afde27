import { backoffDelay, checkBackoff, type BackoffOptions } from './backoff.ts';

/** Growing waits per key, as client-go's `ItemExponentialFailureRateLimiter`. Remembers a key until it is forgotten. */
export class ItemRateLimiter<Key> {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  readonly #failures = new Map<Key, number>();

  /** `random` gives numbers from 0 to below 1. Throws a `RangeError` for options that make no sense. */
  constructor(options: BackoffOptions, random: () => number = Math.random) {
    checkBackoff(options);
    this.#options = { ...options };
    this.#random = random;
  }

  /** Counts one more failure of the key and says how many milliseconds it has to wait. */
  when(key: Key): number {
    const failures = this.numRequeues(key);
    this.#failures.set(key, failures + 1);
    return backoffDelay(this.#options, failures, this.#random);
  }

  /** The key starts from nothing again, because it succeeded or because it is given up. */
  forget(key: Key): void {
    this.#failures.delete(key);
  }

  /** How often the key has failed since it was last forgotten. */
  numRequeues(key: Key): number {
    return this.#failures.get(key) ?? 0;
  }
}
