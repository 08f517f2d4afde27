export interface TokenBucketOptions {
  /** What it holds when full, as it is at first. */
  readonly burst: number;
  /** How long one token takes to come back. */
  readonly refillMs: number;
}

/**
 * Lets a burst through, then one at a time. It keeps the time at which it will be full again instead of a count of
 * tokens: fractions of tokens would add up to a little less than one.
 */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #fullAt = Number.NEGATIVE_INFINITY;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
  }

  /** Takes a token; false when there is none. `now` in milliseconds of the caller's clock. */
  take(now: number): boolean {
    const { burst, refillMs } = this.#options;
    const fullAt = Math.max(this.#fullAt, now) + refillMs;
    if (fullAt - now > burst * refillMs) return false;
    this.#fullAt = fullAt;
    return true;
  }

  /** Full again: forgetting it changes nothing. */
  isFull(now: number): boolean {
    return this.#fullAt <= now;
  }
}
