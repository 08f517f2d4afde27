import type { Log } from '../telemetry/log.ts';
import type { LeaseApi } from './leaseapi.ts';
import type { Lease } from './wire.ts';

export interface LeaseWatchOptions {
  readonly lease: LeaseApi;
  /** Called for every change that the server tells of. */
  readonly onChange: () => void;
  readonly log: Log;
}

/**
 * Tells one who waits for a Lease of its changes, so that the next leader need not be found out by asking. Only makes
 * it quicker: nothing depends on it, and what it tells is read again. A watch that ended begins anew with `start`.
 */
export class LeaseWatch {
  readonly #options: LeaseWatchOptions;
  #running: AbortController | undefined;

  constructor(options: LeaseWatchOptions) {
    this.#options = options;
  }

  /** Tells of what comes after `seen`; does nothing while it runs. */
  start(seen: Lease): void {
    if (this.#running) return;
    const run = new AbortController();
    this.#running = run;
    void this.#follow(seen, run.signal).finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
  }

  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
  }

  /** Never rejects. */
  async #follow(seen: Lease, signal: AbortSignal): Promise<void> {
    const { lease, onChange, log } = this.#options;
    try {
      for await (const _ of lease.changes(seen, signal)) onChange();
    } catch (error) {
      if (!signal.aborted) log.debug({ error }, 'the watch of the Lease ended; it is looked at all the same');
    }
  }
}
