/** Sees to it that no address which the provider put on an interface outlives its use, not even over a crash. */
import type { Log } from '#src/telemetry/log';
import type { AddressesInUse } from './addresses-in-use.ts';
import type { Clock } from './clock.ts';
import type { InterfaceAddresses } from './interface-addresses.ts';

/** Time for one look and the removals after it; each takes milliseconds. */
export const REMOVAL_MS = 2_000;
/** Between two looks of a process that does not lead. */
const STANDBY_MS = 5_000;

export interface RemovalParts {
  readonly addresses: InterfaceAddresses;
  /** Whether some load balancer of this process holds the address. */
  readonly isHeld: (address: string) => boolean;
  readonly inUse: AddressesInUse;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * An address is ours by its marks (see `InterfaceAddresses`), whether or not it is in the pool, which may have changed
 * since. One at which another living process has a socket stays: another controller may work on the same machine.
 */
export class AddressRemoval {
  readonly #parts: RemovalParts;

  constructor(parts: RemovalParts) {
    this.#parts = parts;
  }

  /** Removes what an earlier process left and nobody holds any more. */
  async leftovers(): Promise<void> {
    await this.#remove((address, inUse) => !this.#parts.isHeld(address) && !inUse.has(address));
  }

  /** Removes everything, for good: this process serves nothing any more, though a reconcile may still be under way. */
  async all(): Promise<void> {
    const { addresses, clock } = this.#parts;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(REMOVAL_MS, resolve);
      void addresses.seal().then(() => (cancel(), resolve()));
    });
    await this.#remove((address, inUse) => this.#parts.isHeld(address) || !inUse.has(address));
  }

  /** Removes what an earlier process left, again and again, until the signal aborts: somebody else leads. */
  async standby(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#remove((address, inUse) => !signal.aborted && !inUse.has(address));
      await this.#pause(signal);
    }
  }

  async #remove(mayRemove: (address: string, inUse: ReadonlySet<string>) => boolean): Promise<void> {
    const { addresses, inUse, log } = this.#parts;
    const signal = AbortSignal.timeout(REMOVAL_MS);
    try {
      const ours = await addresses.ours(signal);
      if (ours.length === 0) return;
      const used = await inUse();
      for (const address of ours) {
        if (!mayRemove(address, used)) continue;
        await addresses.remove(address, () => mayRemove(address, used), signal);
        log.info({ address }, 'removed an address from the interface');
      }
    } catch (error) {
      log.warn({ error }, 'could not remove addresses from the interface; they are found at the next start');
    }
  }

  #pause(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.#parts.clock.after(STANDBY_MS, done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }
}
