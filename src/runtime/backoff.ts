/** How long to wait between attempts; every time in milliseconds. */
export interface BackoffOptions {
  /** The first wait. */
  readonly initialMs: number;
  /** The longest wait, before jitter. */
  readonly maxMs: number;
  /** What each wait is multiplied by to give the next; 2 by default. */
  readonly factor?: number;
  /** Up to this share (0 to 1) of the wait is added at random; 0 by default. */
  readonly jitter?: number;
}

/**
 * The wait before attempt `failures + 1`: `initialMs · factor^failures`, at most `maxMs`, plus jitter. The jitter comes
 * on top of the limit, as in client-go's `wait.Backoff`: clients that all reached it would otherwise march in step.
 */
export function backoffDelay(options: BackoffOptions, failures: number, random: () => number = Math.random): number {
  const wait = Math.min(options.maxMs, options.initialMs * (options.factor ?? 2) ** failures);
  return wait * (1 + (options.jitter ?? 0) * random());
}

/** Throws a `RangeError` that names the option that makes no sense. */
export function checkBackoff({ initialMs, maxMs, factor = 2, jitter = 0 }: BackoffOptions): void {
  if (!(initialMs > 0)) throw new RangeError(`initialMs must be above 0, not ${initialMs}`);
  if (!(maxMs >= initialMs && Number.isFinite(maxMs))) {
    throw new RangeError(`maxMs must be finite and at least initialMs (${initialMs}), not ${maxMs}`);
  }
  if (!(factor >= 1)) throw new RangeError(`factor must be at least 1, not ${factor}`);
  if (!(jitter >= 0 && jitter <= 1)) throw new RangeError(`jitter must be from 0 to 1, not ${jitter}`);
}

/** Growing waits for one thing that fails again and again; `reset` it when it works. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #failures = 0;

  /** `random` gives numbers from 0 to below 1. Throws a `RangeError` for options that make no sense. */
  constructor(options: BackoffOptions, random: () => number = Math.random) {
    checkBackoff(options);
    this.#options = { ...options };
    this.#random = random;
  }

  /** How many milliseconds to wait this time; the next call says more. */
  next(): number {
    return backoffDelay(this.#options, this.#failures++, this.#random);
  }

  /** Starts again from `initialMs`. */
  reset(): void {
    this.#failures = 0;
  }
}
