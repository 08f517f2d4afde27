import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { BallastError } from '../errors.ts';
import { sleep, systemClock, type Clock } from '../runtime/clock.ts';
import type { Log } from '../telemetry/log.ts';
import { ApiError, isConflict, isNotFound } from './apierror.ts';
import { withDeadline } from './deadline.ts';
import type { LeaseApi, LeaseSpec } from './leaseapi.ts';
import { heldRecord, releasedRecord } from './leaserecord.ts';
import { judgeLease, waitBeforeLook, type Standing } from './leaseverdict.ts';
import { LeaseWatch } from './leasewatch.ts';
import type { KubeMetrics } from './metrics.ts';
import type { Lease } from './wire.ts';

export interface LeaderElectorOptions {
  readonly lease: LeaseApi;
  /** Unique among all processes that ever lived: two with the same would both lead. See `electorIdentity`. */
  readonly identity: string;
  readonly log: Log;
  readonly metrics: KubeMetrics;
  /** How long others wait after the last renewal that they saw. Default: 15 s. */
  readonly leaseDurationMs?: number;
  /** How long we count as the leader after our last renewal. Default: 10 s. */
  readonly renewDeadlineMs?: number;
  /** How often we renew, and at least how long others wait between two looks. Default: 2 s. */
  readonly retryPeriodMs?: number;
  /**
   * What becomes of a leader that did not renew in time. False, the default: it ends, because another one may lead
   * already and what it holds may be in that one's way. True: it stays, *fenced*, which is to say that it writes
   * nothing, asks on, and leads again if it finds that nobody else has held the Lease meanwhile; else it ends.
   */
  readonly outlivesLease?: boolean;
  /** Called when this process, having been fenced, leads again: what it did not write meanwhile is due now. */
  readonly onResume?: () => void;
  /** Monotonic; counts while the process is stopped (SIGSTOP), though not while the machine is suspended. */
  readonly clock?: Clock;
  /** The time of day, for people who read the Lease. */
  readonly date?: () => Date;
  readonly random?: () => number;
}

/** client-go's: a follower waits between one and 2.2 retry periods, so that followers do not march in step. */
const JITTER = 1.2;

/** The end of the process does not wait longer for this; without it, the others wait for the Lease to run out. */
const GIVE_BACK_MS = 2_000;

/** An identity for `LeaderElectorOptions`: readable, and new for every process. */
export function electorIdentity(hostname: string): string {
  return `${hostname}_${randomUUID()}`;
}

/**
 * Decides by a Lease which one of several processes leads, by the rules of client-go's `tools/leaderelection`.
 *
 * Clocks are never compared: a follower measures with its own how long it saw the Lease unchanged, and the leader with
 * its own how long ago it began the last renewal that worked. The leader gives up first (`renewDeadlineMs` <
 * `leaseDurationMs`), so as long as clocks run at about the same speed there are never two, whatever answers get lost.
 */
export class LeaderElector {
  /** Resolves when this process leads; stays pending when it never does. */
  readonly acquired: Promise<void>;

  readonly #lease: LeaseApi;
  readonly #identity: string;
  readonly #log: Log;
  readonly #metrics: KubeMetrics;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #outlivesLease: boolean;
  readonly #onResume: () => void;
  readonly #clock: Clock;
  readonly #date: () => Date;
  readonly #random: () => number;

  readonly #acquired: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #lost = new AbortController();
  /** What the others do, as we saw it: the record, and when it last changed. */
  #observed: { readonly record: LeaseSpec; readonly at: number } | undefined;
  /** What we hold: the Lease as we last wrote it, and when we began to write it. */
  #held: { readonly lease: Lease; readonly since: number } | undefined;
  /** A write of ours is there, or may be: its answer never came. */
  #mayHold = false;
  /** When this process found that its last renewal counts no longer, while it stays all the same. */
  #fencedAt: number | undefined;
  /** The last look or renewal failed. */
  #isBlind = false;
  #cancelDeadline: () => void = () => {};
  readonly #watch: LeaseWatch;
  /** The Lease has changed since the last look began. */
  #hasChanged = false;
  #wake: () => void = () => {};

  /** @throws BallastError `InvalidConfig` when the three times do not fit together. */
  constructor(options: LeaderElectorOptions) {
    this.#lease = options.lease;
    this.#identity = options.identity;
    this.#log = options.log.child({ lease: options.lease.key, identity: options.identity });
    this.#metrics = options.metrics;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    this.#outlivesLease = options.outlivesLease ?? false;
    this.#onResume = options.onResume ?? (() => {});
    this.#clock = options.clock ?? systemClock;
    this.#date = options.date ?? (() => new Date());
    this.#random = options.random ?? Math.random;
    this.acquired = this.#acquired.promise;
    const onChange = (): void => {
      this.#hasChanged = true;
      this.#wake();
    };
    this.#watch = new LeaseWatch({ lease: this.#lease, onChange, log: this.#log });
    this.#checkOptions();
    this.#showLeading(false);
  }

  /** Aborts, with a `NotLeader` error as its reason, when this process leads no longer; it never leads again. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Whether this process leads now, by its last renewal and its own clock. */
  get isLeader(): boolean {
    if (!this.#held || this.#fencedAt !== undefined) return false;
    return this.#clock.now() - this.#held.since <= this.#renewDeadlineMs;
  }

  /** For how many milliseconds this process has led no longer though it stays; undefined when it leads or never did. */
  get fencedForMs(): number | undefined {
    return this.#fencedAt === undefined ? undefined : this.#clock.now() - this.#fencedAt;
  }

  /**
   * To be called before every external write. A process that slept through its deadline learns it here, before any of
   * its timers had a chance to fire.
   * @throws BallastError `NotLeader`
   */
  fence(): void {
    if (this.isLeader) return;
    this.#expire();
    throw new BallastError('NotLeader', `This process does not hold the Lease ${this.#lease.key}.`);
  }

  /**
   * Waits for the Lease, then renews it. Resolves after the signal aborted and the Lease was given back; so abort only
   * when all work that needs leadership has ended. Call it once.
   * @throws BallastError `NotLeader` when the Lease was lost.
   */
  async run(signal: AbortSignal): Promise<void> {
    const end = new AbortController();
    const onAbort = (): void => end.abort(signal.reason);
    if (signal.aborted) return;
    signal.addEventListener('abort', onAbort, { once: true });
    this.lost.addEventListener('abort', () => end.abort(this.lost.reason), { once: true });
    while (!end.signal.aborted) {
      this.#hasChanged = false;
      await this.#try(end.signal);
      await this.#pause(end.signal);
    }
    this.#watch.stop();
    signal.removeEventListener('abort', onAbort);
    if (this.lost.aborted) throw this.lost.reason;
    await this.#giveBack();
  }

  /** One attempt to get or keep the Lease; failures are logged, and the next attempt follows. */
  async #try(signal: AbortSignal): Promise<void> {
    // Half of the deadline, so that after a request that hangs there is time for another.
    const limits = { signal, timeoutMs: this.#renewDeadlineMs / 2, clock: this.#clock };
    const wasBlind = this.#isBlind;
    try {
      this.#isBlind = true;
      await withDeadline(limits, (signal) => this.#acquireOrRenew(signal, wasBlind));
      this.#isBlind = false;
    } catch (error) {
      if (signal.aborted) return;
      this.#log.warn({ error }, this.#held ? 'the Lease could not be renewed' : 'the Lease could not be acquired');
    }
  }

  async #acquireOrRenew(signal: AbortSignal, wasBlind: boolean): Promise<void> {
    // A process that slept through its deadline may get here before its timer does.
    if (!this.isLeader) this.#expire();
    signal.throwIfAborted();
    if (this.#held && this.isLeader && (await this.#renewUnread(this.#held.lease, signal))) return;
    const lease = await this.#lease.read(signal);
    signal.throwIfAborted();
    if (lease) this.#observe(lease);
    // Who could not look saw no renewals either: a holder that was cut off as well gets the time of one more look.
    const holderMayLive = wasBlind || this.#holderLivesMs() > 0;
    const verdict = judgeLease(lease?.spec, { identity: this.#identity, role: this.#role(), holderMayLive });
    if (verdict.kind === 'lost') this.#lose(`the Lease ${this.#lease.key} ${verdict.why}`);
    if (verdict.kind === 'wait' && lease) this.#watch.start(lease);
    if (verdict.kind === 'write') await this.#write(lease, signal);
  }

  #role(): Standing['role'] {
    if (!this.#held) return 'candidate';
    return this.isLeader ? 'leader' : 'fenced';
  }

  /** Until it is time for the next attempt, or the Lease has changed, or the signal aborts. */
  async #pause(signal: AbortSignal): Promise<void> {
    if (this.#hasChanged && !this.#held) return;
    const waitMs = waitBeforeLook({
      retryPeriodMs: this.#retryPeriodMs,
      jitter: JITTER,
      random: this.#random(),
      isHeld: this.#held !== undefined,
      holderLivesMs: this.#holderLivesMs(),
    });
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await sleep(this.#clock, waitMs, AbortSignal.any([signal, woken.signal])).catch(() => {});
    this.#wake = () => {};
  }

  /** Renews without a look first: usually nobody else has written. False when somebody has. */
  async #renewUnread(lease: Lease, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#write(lease, signal);
      return true;
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return false;
      throw error;
    }
  }

  async #write(previous: Lease | undefined, signal: AbortSignal): Promise<void> {
    const since = this.#clock.now();
    const holder = { identity: this.#identity, leaseDurationMs: this.#leaseDurationMs, now: this.#date() };
    const record = heldRecord(previous?.spec, holder);
    const mightHaveHeld = this.#mayHold;
    this.#mayHold = true;
    try {
      const write = previous ? this.#lease.update(previous, record, signal) : this.#lease.create(record, signal);
      this.#adopt(await write, since);
    } catch (error) {
      // Only a refusal is certain to have changed nothing: after a 5xx or a broken connection we may hold the Lease.
      if (error instanceof ApiError && error.httpStatus < 500) this.#mayHold = mightHaveHeld;
      throw error;
    }
  }

  /** Counts from the beginning of the write: the others cannot have seen it before. */
  #adopt(lease: Lease, since: number): void {
    const left = this.#renewDeadlineMs - (this.#clock.now() - since);
    if (this.lost.aborted || left <= 0) return;
    const isNew = this.#held === undefined;
    this.#held = { lease, since };
    this.#cancelDeadline();
    this.#cancelDeadline = this.#clock.after(left, () => this.#expire());
    if (isNew) {
      this.#watch.stop();
      this.#showLeading(true);
      this.#log.info({}, 'this process leads');
      this.#acquired.resolve();
    }
    this.#resume();
  }

  /** Our last renewal counts no longer: the end, or from now on fenced. */
  #expire(): void {
    if (!this.#held || this.#fencedAt !== undefined) return;
    const why = `the Lease ${this.#lease.key} was not renewed within ${this.#renewDeadlineMs} ms`;
    if (!this.#outlivesLease) return this.#lose(why);
    this.#cancelDeadline();
    this.#fencedAt = this.#clock.now();
    this.#showLeading(false);
    this.#log.error({}, `${why}; this process writes nothing until it is, and goes on with what it has`);
  }

  #resume(): void {
    const { fencedForMs } = this;
    if (fencedForMs === undefined) return;
    this.#fencedAt = undefined;
    this.#showLeading(true);
    this.#log.info({ fencedForMs: Math.round(fencedForMs) }, 'nobody else has led meanwhile; this process leads again');
    this.#onResume();
  }

  #lose(reason: string): void {
    if (this.lost.aborted) return;
    this.#endLeading(new BallastError('NotLeader', `${reason[0]?.toUpperCase()}${reason.slice(1)}.`));
    this.#log.error({ error: this.lost.reason }, 'this process leads no longer');
  }

  #endLeading(reason: BallastError): void {
    this.#cancelDeadline();
    this.#held = undefined;
    this.#fencedAt = undefined;
    this.#showLeading(false);
    this.#lost.abort(reason);
  }

  #observe(lease: Lease): void {
    const record = lease.spec ?? {};
    if (this.#observed && isDeepStrictEqual(this.#observed.record, record)) return;
    if (this.#observed?.record.holderIdentity !== record.holderIdentity) {
      this.#tellWaiting(record);
    }
    this.#observed = { record, at: this.#clock.now() };
  }

  /** Said once for each holder: without it, a start that waits for the Lease of a dead process looks as if it hung. */
  #tellWaiting({ holderIdentity: holder = '', leaseDurationSeconds: waitSeconds = 0 }: LeaseSpec): void {
    if (this.#held || holder === '' || holder === this.#identity) return;
    this.#log.info(
      { holder, waitSeconds },
      `the Lease ${this.#lease.key} is held by ${holder}; waiting up to ${waitSeconds} s for it to expire or to be ` +
        'given back, longer while it is renewed',
    );
  }

  /** How long the holder may still lead, for all we know: its own duration counts, from when we saw it write. */
  #holderLivesMs(): number {
    if (!this.#observed) return 0;
    const { record, at } = this.#observed;
    return at + (record.leaseDurationSeconds ?? 0) * 1000 - this.#clock.now();
  }

  async #giveBack(): Promise<void> {
    const held = this.#held?.lease;
    if (held) this.#endLeading(new BallastError('NotLeader', `The Lease ${this.#lease.key} was given back.`));
    if (!this.#mayHold) return;
    const limits = {
      signal: new AbortController().signal,
      timeoutMs: Math.min(GIVE_BACK_MS, this.#renewDeadlineMs / 2),
      clock: this.#clock,
    };
    try {
      await withDeadline(limits, (signal) => this.#release(held, signal));
      this.#log.info({}, 'the Lease was given back');
    } catch (error) {
      this.#log.warn({ error }, 'the Lease could not be given back; others wait until it expires');
    }
  }

  async #release(held: Lease | undefined, signal: AbortSignal): Promise<void> {
    const lease = held ?? (await this.#lease.read(signal));
    if (lease?.spec?.holderIdentity !== this.#identity) return;
    try {
      await this.#lease.update(lease, releasedRecord(lease.spec, this.#date()), signal);
    } catch (error) {
      // A renewal that we broke off was carried out after all: once more, from what is there now.
      if (held && isConflict(error)) return this.#release(undefined, signal);
      throw error;
    }
  }

  #showLeading(leads: boolean): void {
    this.#metrics.leader.set({ name: this.#lease.key }, leads ? 1 : 0);
  }

  #checkOptions(): void {
    const fits =
      this.#identity !== '' &&
      this.#leaseDurationMs > this.#renewDeadlineMs &&
      this.#renewDeadlineMs > this.#retryPeriodMs * JITTER &&
      this.#retryPeriodMs > 0;
    if (fits) return;
    throw new BallastError(
      'InvalidConfig',
      `Leader election needs an identity and lease duration (${this.#leaseDurationMs} ms) > renew deadline ` +
        `(${this.#renewDeadlineMs} ms) > ${JITTER} × retry period (${this.#retryPeriodMs} ms) > 0.`,
    );
  }
}
