import type { Clock } from '../runtime/clock.ts';

export interface AvailabilityOptions {
  readonly clock: Clock;
  /** How long nothing may be answered before it counts as an outage. Default: 3 s. */
  readonly outageMs?: number;
}

/** Longer than leader election's usual pause between two requests, so that a leader hears of every short outage's end. */
const OUTAGE_MS = 3_000;

/**
 * Whether the API server answers, as all clients of one process find it together. Whoever waits after a failure may
 * have a long wait before it because of an outage; what any other request finds out ends it sooner. An outage is told
 * once, at its end, so a server that fails only some requests is not asked more often by this.
 */
export class Availability {
  readonly #clock: Clock;
  readonly #outageMs: number;
  readonly #listeners = new Set<() => void>();
  /** The first failure since the last answer. */
  #failingSince: number | undefined;
  /** Until when the server asked for patience. */
  #quietUntil = Number.NEGATIVE_INFINITY;

  constructor({ clock, outageMs = OUTAGE_MS }: AvailabilityOptions) {
    this.#clock = clock;
    this.#outageMs = outageMs;
  }

  /** The server answered, with success or with a refusal that is about the request alone. */
  answered(): void {
    if (this.#failingSince === undefined) return;
    const now = this.#clock.now();
    const lastedMs = now - this.#failingSince;
    if (lastedMs >= this.#outageMs && now < this.#quietUntil) return;
    this.#failingSince = undefined;
    if (lastedMs >= this.#outageMs) for (const listener of this.#listeners) listener();
  }

  /** The server could not be reached, did not answer, or has too much to do or a fault of its own (429, 5xx). */
  failed(retryAfterMs = 0): void {
    const now = this.#clock.now();
    this.#failingSince ??= now;
    this.#quietUntil = Math.max(this.#quietUntil, now + retryAfterMs);
  }

  /** Calls the listener, which must not throw, at the end of each outage; the returned function ends that. */
  onBack(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
