import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { BallastError } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { BackoffOptions } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { ControllerMetrics } from './controllermetrics.ts';
import { followUp } from './followup.ts';
import { OUTCOMES, outcomeOfThrow, ReconcileTimeout, type Outcome, type Result } from './outcome.ts';
import { settlesWithin, untilAborted } from './wait.ts';
import { WorkQueue } from './workqueue.ts';

/** What a reconcile gets beside its key. */
export interface ReconcileContext {
  /** Aborts when the reconcile has used up its time, or when the process ends and cannot wait any longer. */
  readonly signal: AbortSignal;
  /** Carries controller, key and reconcileId. */
  readonly log: Log;
  /** Another one for each reconcile, to find what belongs together. */
  readonly reconcileId: string;
}

export interface ControllerOptions<Key extends string> {
  /** Names the queue, the metrics' label `controller` and the log lines. */
  readonly name: string;
  /**
   * Brings what the key stands for to its desired state. Reads the state, not the event; may be called again at any
   * time, never twice at once for the same key. What it throws is classified by `src/errors.ts`.
   */
  readonly reconcile: (key: Key, context: ReconcileContext) => Promise<Result>;
  /** How many keys are reconciled at once, not counting those that take longer than 2 s; see `MOST`. */
  readonly workers: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: ControllerMetrics;
  /** The waits after failures; 1 s doubling up to 300 s, plus up to a fifth, by default. */
  readonly backoff?: BackoffOptions;
  /** When the signal of a reconcile aborts; 10 minutes by default. */
  readonly timeoutMs?: number;
  /** How long running reconciles may go on after the end was asked for; 5 s by default. */
  readonly drainMs?: number;
  /** How long they have from their abort to their end; 1 s by default. */
  readonly abortMs?: number;
}

const BACKOFF: BackoffOptions = { initialMs: 1_000, maxMs: 300_000, jitter: 0.2 };

/** Who takes longer waits for somebody else, and the other keys must not wait as well: another worker takes them. */
const LONG_MS = 2_000;

/** However many take long: at most so many times as many workers as were asked for. */
const MOST = 4;

/** Once this time has passed, a worker lets timers and sockets have a turn before it takes the next key. */
const TURN_MS = 10;

/** Workers that take keys from a queue, reconcile them, and act on the outcomes. */
export class Controller<Key extends string> {
  readonly name: string;
  /** Where keys are added that may need work, also before `run`. */
  readonly queue: WorkQueue<Key>;
  readonly #options: Required<ControllerOptions<Key>>;
  readonly #log: Log;
  /** The reconciles under way. */
  readonly #running = new Map<Key, AbortController>();
  /** When the time of a reconcile under way was over. */
  readonly #overdue = new Map<Key, number>();
  /** How many conflicts in a row each key has had. */
  readonly #conflicts = new Map<Key, number>();
  readonly #ended: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Each settles when its worker has ended, and never rejects. */
  readonly #workers = new Set<Promise<void>>();
  /** How many of the workers are with a key that takes long. */
  #slow = 0;
  readonly #crashes: unknown[] = [];
  #hasRun = false;

  constructor(options: ControllerOptions<Key>) {
    const all = { backoff: BACKOFF, timeoutMs: 600_000, drainMs: 5_000, abortMs: 1_000, ...options };
    if (!(Number.isInteger(all.workers) && all.workers > 0)) {
      throw new RangeError(`controller ${all.name}: workers must be a whole number above 0, not ${all.workers}`);
    }
    const { name, clock, metrics, backoff } = all;
    this.name = name;
    this.#options = all;
    this.#log = all.log.child({ controller: name });
    this.queue = new WorkQueue({ name, clock, metrics: metrics.queue, backoff });
    for (const outcome of OUTCOMES) metrics.reconciles.inc({ controller: name, outcome }, 0);
    metrics.activeWorkers.set({ controller: name }, 0);
  }

  /** Resolves when `run` has been called and nothing of it is left, which is later when reconciles do not heed their abort. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * True unless a reconcile goes on for longer than `abortMs` after its time was over and it was aborted; then which.
   * Its key waits for it, and a worker stays with it, until it ends: only a new process can help.
   */
  live(): boolean | string {
    const { clock, abortMs } = this.#options;
    const stuck = [...this.#overdue].filter(([, since]) => clock.now() - since > abortMs);
    if (stuck.length === 0) return true;
    const keys = stuck.map(([key, since]) => `${key} (${Math.round((clock.now() - since) / 1_000)} s ago)`);
    return `did not heed their abort: ${keys.join(', ')}`;
  }

  /**
   * Works until the signal aborts. Then takes no more keys, gives running reconciles `drainMs` to finish, or none of it
   * when the reason is `NotLeader`, aborts the rest, and resolves at the latest `abortMs` later. May be called once.
   */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#hasRun) throw new Error(`controller ${this.name} has run before`);
    this.#hasRun = true;
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    const { workers } = this.#options;
    for (let worker = 0; worker < workers; worker += 1) this.#hire(stop);
    this.#log.info({ workers }, 'controller started');
    await untilAborted(stop.signal);
    signal.removeEventListener('abort', onAbort);
    const all = Promise.all(this.#workers);
    void all.then(() => this.#ended.resolve());
    await this.#drain(all, isLossOfLeadership(signal.reason) ? 0 : this.#options.drainMs);
    if (this.#crashes.length > 0) throw this.#crashes[0];
    this.#log.info({ left: this.queue.length }, 'controller ended');
  }

  #hire(stop: AbortController): void {
    const work = async (): Promise<void> => {
      try {
        await this.#work(stop);
      } catch (error) {
        this.#crashes.push(error);
        stop.abort(error);
      }
      this.#workers.delete(worker);
    };
    const worker = work();
    this.#workers.add(worker);
  }

  async #work(stop: AbortController): Promise<void> {
    const { clock, workers } = this.#options;
    const { signal } = stop;
    let turnBegan = clock.now();
    for (let key = await this.queue.get(signal); key !== undefined; key = await this.queue.get(signal)) {
      const endRelief = this.#relieveLater(key, stop);
      try {
        if (!signal.aborted) await this.#reconcile(key);
      } finally {
        endRelief();
        this.queue.done(key);
      }
      if (this.#workers.size - this.#slow > workers) return;
      if (clock.now() - turnBegan > TURN_MS) {
        await setImmediate();
        turnBegan = clock.now();
      }
    }
  }

  /** Puts another in the place of a worker that takes long, while there may be more; what is returned ends that. */
  #relieveLater(key: Key, stop: AbortController): () => void {
    const { clock, workers } = this.#options;
    let isSlow = false;
    const cancel = clock.after(LONG_MS, () => {
      isSlow = true;
      this.#slow += 1;
      if (stop.signal.aborted || this.#workers.size >= workers * MOST) return;
      this.#log.info({ key }, 'a reconcile takes long; another worker goes on with the other keys');
      this.#hire(stop);
    });
    return () => {
      cancel();
      if (isSlow) this.#slow -= 1;
    };
  }

  async #drain(workers: Promise<unknown>, drainMs: number): Promise<void> {
    const { clock, abortMs } = this.#options;
    this.queue.shutDown();
    if (drainMs > 0 && (await settlesWithin(clock, workers, drainMs))) return;
    if (this.#running.size > 0) {
      this.#log.warn({ keys: [...this.#running.keys()], drainMs }, 'aborting reconciles that have not ended in time');
    }
    for (const attempt of this.#running.values()) attempt.abort();
    if (await settlesWithin(clock, workers, abortMs)) return;
    this.#log.error({ keys: [...this.#running.keys()] }, 'leaving reconciles behind that do not heed their abort');
  }

  async #reconcile(key: Key): Promise<void> {
    const { clock, metrics } = this.#options;
    const labels = { controller: this.name };
    const reconcileId = randomUUID();
    const log = this.#log.child({ key, reconcileId });
    const startedAt = clock.now();
    metrics.activeWorkers.inc(labels);
    const outcome = await this.#attempt(key, reconcileId, log);
    metrics.activeWorkers.dec(labels);
    const durationMs = clock.now() - startedAt;
    metrics.duration.observe(labels, durationMs / 1000);
    metrics.reconciles.inc({ ...labels, outcome: outcome.kind });
    if ('code' in outcome) metrics.errors.inc({ ...labels, code: outcome.code });
    const level = followUp(this.queue, key, outcome, this.#countConflicts(key, outcome));
    const { kind, ...details } = outcome;
    log[level]({ outcome: kind, durationMs: Math.round(durationMs * 10) / 10, ...details }, 'reconciled');
  }

  /** Never throws. */
  async #attempt(key: Key, reconcileId: string, log: Log): Promise<Outcome> {
    const { clock, reconcile, timeoutMs } = this.#options;
    const attempt = new AbortController();
    const cancelTimeout = clock.after(timeoutMs, () => {
      log.warn({ timeoutMs }, 'aborting a reconcile that takes too long');
      this.#overdue.set(key, clock.now());
      attempt.abort(new ReconcileTimeout(timeoutMs));
    });
    this.#running.set(key, attempt);
    try {
      return await reconcile(key, { signal: attempt.signal, log, reconcileId });
    } catch (error) {
      return outcomeOfThrow(error, attempt.signal);
    } finally {
      cancelTimeout();
      this.#running.delete(key);
      this.#overdue.delete(key);
    }
  }

  #countConflicts(key: Key, outcome: Outcome): number {
    if (outcome.kind !== 'conflict') {
      this.#conflicts.delete(key);
      return 0;
    }
    const conflicts = (this.#conflicts.get(key) ?? 0) + 1;
    this.#conflicts.set(key, conflicts);
    return conflicts;
  }
}

/** Whoever leads no longer has nothing to bring to an end. */
function isLossOfLeadership(reason: unknown): boolean {
  return reason instanceof BallastError && reason.code === 'NotLeader';
}
