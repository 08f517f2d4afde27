export interface TokenBucketOptions {
  /** What it holds when full, as it is at first. */
  readonly burst: number;
  /** How long one token takes to come back. */
  readonly refillMs: number;
}

/** Lets a burst through, then one at a time. */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #tokens: number;
  #filledAt: number;

  /** `now` in milliseconds of the caller's clock, as in the methods. */
  constructor(options: TokenBucketOptions, now: number) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#filledAt = now;
  }

  /** Takes a token; false when there is none. */
  take(now: number): boolean {
    this.#fill(now);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Full again: forgetting it changes nothing. */
  isFull(now: number): boolean {
    this.#fill(now);
    return this.#tokens === this.#options.burst;
  }

  #fill(now: number): void {
    const { burst, refillMs } = this.#options;
    this.#tokens = Math.min(burst, this.#tokens + (now - this.#filledAt) / refillMs);
    this.#filledAt = now;
  }
}
