/** Addresses that the provider puts on a network interface and takes off again, by way of iproute2's `ip`. */
import { execFile } from 'node:child_process';
import { z } from 'zod';
import { BallastError } from '#src/errors';
import { ADDRESS_BITS, parseIp } from '#src/loadbalancer/ip';
import { announceByArp, type Announce } from './address-announcement.ts';
import type { Clock } from './clock.ts';
import { providerEnded } from './ended.ts';

/** Runs `ip` with these arguments; resolves with its output, rejects with what it says when it fails. */
export type RunIp = (args: readonly string[], signal: AbortSignal) => Promise<string>;

const IP_TIMEOUT_MS = 5_000;
const MOST_OUTPUT_BYTES = 64 * 1_024 * 1_024;

export const runIp: RunIp = (args, signal) =>
  new Promise((resolve, reject) => {
    execFile(
      'ip',
      [...args],
      { timeout: IP_TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: MOST_OUTPUT_BYTES, signal },
      (error, stdout, stderr) => {
        if (error) reject(signal.aborted ? error : new Error(stderr.trim() || error.message, { cause: error }));
        else resolve(stdout);
      },
    );
  });

/**
 * Tells our addresses from everybody else's, also after a crash: they are the only ones that are alone in their prefix
 * (/32, /128) and have this route metric, a number without meaning to the kernel for such an address.
 */
const OUR_METRIC = 47_633;

/** What was read stays good for this long; our own changes are put in at once. */
const FRESH_MS = 1_000;

const OUTPUT = z.array(
  z.object({
    ifname: z.string().optional(),
    addr_info: z
      .array(
        z.object({ local: z.string().optional(), prefixlen: z.number().optional(), metric: z.number().optional() }),
      )
      .optional(),
  }),
);

interface State {
  readonly readAt: number;
  /** Every address of this machine, and whether it is ours. */
  readonly addresses: Map<string, boolean>;
}

export class InterfaceAddresses {
  readonly #device: string;
  readonly #run: RunIp;
  readonly #clock: Clock;
  readonly #announce: Announce;
  #state: State | undefined;
  #local: ReadonlySet<string> | undefined;
  /** Changes are made one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #isSealed = false;

  constructor(device: string, run: RunIp, clock: Clock, announce: Announce = announceByArp) {
    this.#device = device;
    this.#run = run;
    this.#clock = clock;
    this.#announce = announce;
  }

  /** Every address of this machine, whoever put it there. Throws `InterfaceFailed`. */
  async local(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { addresses } = await this.#fresh(signal);
    this.#local ??= new Set(addresses.keys());
    return this.#local;
  }

  /** The addresses that we put there, also in an earlier life. Throws `InterfaceFailed`. */
  async ours(signal: AbortSignal): Promise<readonly string[]> {
    const { addresses } = await this.#fresh(signal);
    return [...addresses].flatMap(([address, ours]) => (ours ? [address] : []));
  }

  /** From now on nothing is added; resolves when the change under way, if there is one, is over. */
  async seal(): Promise<void> {
    this.#isSealed = true;
    await this.#last;
  }

  /**
   * Puts the address on the interface, unless it is on this machine already, and tells the neighbours. `mayAdd` is
   * called right before, and what it throws is thrown. Throws `InterfaceFailed`.
   */
  add(address: string, signal: AbortSignal, mayAdd: () => void = () => {}): Promise<void> {
    return this.#inTurn(async () => {
      if ((await this.#fresh(signal)).addresses.has(address)) return;
      if (this.#isSealed) throw providerEnded();
      mayAdd();
      await this.#put(address, signal);
    });
  }

  /**
   * Takes the address off the interface if it is ours and `mayRemove` says so right before, and puts it back when
   * `isWanted` says afterwards that somebody has come to use it who saw it there. Throws `InterfaceFailed`, and what the
   * two throw.
   */
  remove(
    address: string,
    mayRemove: () => boolean,
    signal: AbortSignal,
    isWanted: () => boolean = () => false,
  ): Promise<void> {
    return this.#inTurn(async () => {
      if ((await this.#fresh(signal)).addresses.get(address) !== true || !mayRemove()) return;
      const args = ['addr', 'del', withPrefix(address), 'dev', this.#device];
      const isGone = (state: State): boolean => !state.addresses.has(address);
      await this.#change(args, isGone, (state) => state.addresses.delete(address), signal);
      if (isWanted() && !this.#isSealed) await this.#put(address, signal);
    });
  }

  async #put(address: string, signal: AbortSignal): Promise<void> {
    const args = ['addr', 'add', withPrefix(address), 'dev', this.#device, 'metric', String(OUR_METRIC)];
    // Duplicate address detection would keep an IPv6 address from being listened on for a second or more.
    if (address.includes(':')) args.push('nodad');
    const isThere = (state: State): boolean => state.addresses.has(address);
    await this.#change(args, isThere, (state) => state.addresses.set(address, true), signal);
    this.#announce(address, new Set(this.#state?.addresses.keys()));
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Runs `ip`. A failure counts as success when it turns out that somebody else had made the same change. */
  async #change(
    args: readonly string[],
    isDone: (state: State) => boolean,
    note: (state: State) => void,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.#run(args, signal);
    } catch (error) {
      this.#state = undefined;
      signal.throwIfAborted();
      if (isDone(await this.#fresh(signal))) return;
      throw this.#failure(args, error);
    }
    if (this.#state) note(this.#state);
    this.#local = undefined;
  }

  async #fresh(signal: AbortSignal): Promise<State> {
    if (this.#state && this.#clock.now() - this.#state.readAt < FRESH_MS) return this.#state;
    return this.#read(signal);
  }

  async #read(signal: AbortSignal): Promise<State> {
    const args = ['-j', 'addr', 'show'];
    const readAt = this.#clock.now();
    let text: string;
    try {
      text = await this.#run(args, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw this.#failure(args, error);
    }
    this.#state = { readAt, addresses: this.#parse(text, args) };
    this.#local = undefined;
    return this.#state;
  }

  #parse(text: string, args: readonly string[]): Map<string, boolean> {
    const addresses = new Map<string, boolean>();
    try {
      for (const { ifname, addr_info: infos = [] } of OUTPUT.parse(JSON.parse(text))) {
        for (const { local, prefixlen, metric } of infos) {
          const address = local === undefined ? undefined : parseIp(local);
          if (!address) continue;
          const isOurs = ifname === this.#device && metric === OUR_METRIC && prefixlen === ADDRESS_BITS[address.family];
          addresses.set(address.text, isOurs || addresses.get(address.text) === true);
        }
      }
    } catch (error) {
      throw this.#failure(args, new Error('its output makes no sense', { cause: error }));
    }
    return addresses;
  }

  #failure(args: readonly string[], error: unknown): BallastError {
    const why = error instanceof Error ? error.message : String(error);
    const message = `\`ip ${args.join(' ')}\` failed: ${why}. Check --proxy-interface, and that the controller has CAP_NET_ADMIN.`;
    return new BallastError('InterfaceFailed', message, { cause: error });
  }
}

function withPrefix(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}
