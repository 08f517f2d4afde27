import type { BackoffOptions } from './backoff.ts';
import type { Clock } from './clock.ts';
import { DelayedKeys } from './delayedkeys.ts';
import { Fifo } from './fifo.ts';
import type { QueueMetrics } from './queuemetrics.ts';
import { ItemRateLimiter } from './ratelimiter.ts';

export interface WorkQueueOptions {
  /** The value of the metrics' label `name`. */
  readonly name: string;
  readonly clock: Clock;
  readonly metrics: QueueMetrics;
  /** The waits of `addRateLimited`; 5 ms doubling up to 1000 s by default, as in client-go. */
  readonly backoff?: BackoffOptions;
  /** Numbers from 0 to below 1, for the jitter. */
  readonly random?: () => number;
}

type Waiter<Key> = (key: Key | undefined) => void;

/**
 * The keys that need work, with the semantics of client-go's `util/workqueue`:
 *
 * - fair: keys leave in the order in which they came;
 * - stingy: a key that is added several times before it is taken is worked on once;
 * - a key is never worked on twice at once: added while it is being worked on, it comes back after `done`;
 * - it remembers how often each key failed, and when delayed keys are due.
 *
 * Whoever takes a key must give it back with `done`.
 */
export class WorkQueue<Key extends string> {
  readonly name: string;
  readonly #clock: Clock;
  readonly #metrics: QueueMetrics;
  readonly #limiter: ItemRateLimiter<Key>;
  readonly #delayed: DelayedKeys<Key>;
  readonly #unwatch: () => void;

  /** The keys to hand out, in order: each is in `#dirty` and not in `#processing`. */
  readonly #order = new Fifo<Key>();
  /** Every key that needs work, and since when. */
  readonly #dirty = new Map<Key, number>();
  /** Every key that is being worked on, and since when; `done` puts those back in order that are dirty again. */
  readonly #processing = new Map<Key, number>();
  /** Those who wait in `get`, which happens only while `#order` is empty. */
  readonly #waiters = new Set<Waiter<Key>>();
  /** Those who wait in `shutDownWithDrain`. */
  readonly #drainers = new Set<() => void>();
  #shuttingDown = false;

  constructor(options: WorkQueueOptions) {
    this.name = options.name;
    this.#clock = options.clock;
    this.#metrics = options.metrics;
    this.#limiter = new ItemRateLimiter(options.backoff ?? { initialMs: 5, maxMs: 1_000_000 }, options.random);
    this.#delayed = new DelayedKeys(options.clock, (key) => this.add(key));
    this.#metrics.adds.inc({ name: this.name }, 0);
    this.#metrics.retries.inc({ name: this.name }, 0);
    this.#unwatch = options.metrics.watch({
      name: this.name,
      depth: () => this.#dirty.size,
      runningSeconds: () => [...this.#processing.values()].map((since) => this.#secondsSince(since)),
    });
  }

  /** How many keys could be taken now. */
  get length(): number {
    return this.#order.size;
  }

  get shuttingDown(): boolean {
    return this.#shuttingDown;
  }

  /** The key needs work. Does nothing once the queue shuts down. */
  add(key: Key): void {
    if (this.#shuttingDown || this.#dirty.has(key)) return;
    this.#metrics.adds.inc({ name: this.name });
    this.#dirty.set(key, this.#clock.now());
    if (!this.#processing.has(key)) this.#enqueue(key);
  }

  /**
   * The next key, once there is one. Undefined when the signal has aborted, or when the queue shuts down and is empty:
   * the caller ends then. A key that comes although the signal aborts meanwhile must be given back like any other.
   */
  get(signal: AbortSignal): Promise<Key | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    const next = this.#take();
    if (next !== undefined || this.#shuttingDown) return Promise.resolve(next);
    return new Promise((resolve) => {
      const waiter: Waiter<Key> = (key) => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
        resolve(key);
      };
      const onAbort = (): void => waiter(undefined);
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** The work on the key has ended, well or not. Throws when nobody had taken it. */
  done(key: Key): void {
    const since = this.#processing.get(key);
    if (since === undefined) throw new Error(`queue ${this.name}: done(${key}) without a get that returned it`);
    this.#metrics.workDuration.observe({ name: this.name }, this.#secondsSince(since));
    this.#processing.delete(key);
    if (this.#dirty.has(key)) this.#enqueue(key);
    this.#endDrainIfEmpty();
  }

  /** Adds the key after `delayMs` milliseconds; the earliest of several such calls counts. At once for 0 or less. */
  addAfter(key: Key, delayMs: number): void {
    if (this.#shuttingDown) return;
    this.#metrics.retries.inc({ name: this.name });
    if (delayMs > 0) this.#delayed.add(key, delayMs);
    else this.add(key);
  }

  /** Adds the key after the wait that its number of failures asks for, and counts one more. */
  addRateLimited(key: Key): void {
    this.addAfter(key, this.#limiter.when(key));
  }

  /** Sets the number of failures of the key back to none. Does not take it out of the queue. */
  forget(key: Key): void {
    this.#limiter.forget(key);
  }

  /** How often `addRateLimited` was called for the key since it was last forgotten. */
  numRequeues(key: Key): number {
    return this.#limiter.numRequeues(key);
  }

  /** Takes no more keys and drops the delayed ones. `get` hands out what is left, then tells everybody to end. */
  shutDown(): void {
    this.#beginShutDown();
    for (const drained of this.#drainers) drained();
    this.#drainers.clear();
  }

  /**
   * Shuts down and resolves when every key has been worked on, also those added again before; so somebody must go on
   * taking them. `shutDown`, called later, ends the wait.
   */
  shutDownWithDrain(): Promise<void> {
    this.#beginShutDown();
    return new Promise((resolve) => {
      this.#drainers.add(resolve);
      this.#endDrainIfEmpty();
    });
  }

  #beginShutDown(): void {
    this.#shuttingDown = true;
    this.#delayed.clear();
    this.#unwatch();
    for (const waiter of this.#waiters) waiter(undefined);
  }

  #endDrainIfEmpty(): void {
    if (this.#processing.size > 0 || this.#dirty.size > 0) return;
    for (const drained of this.#drainers) drained();
    this.#drainers.clear();
  }

  #enqueue(key: Key): void {
    this.#order.push(key);
    const [waiter] = this.#waiters;
    if (waiter) waiter(this.#take());
  }

  #take(): Key | undefined {
    const key = this.#order.shift();
    if (key === undefined) return undefined;
    const since = this.#dirty.get(key) ?? this.#clock.now();
    this.#metrics.queueDuration.observe({ name: this.name }, this.#secondsSince(since));
    this.#dirty.delete(key);
    this.#processing.set(key, this.#clock.now());
    return key;
  }

  #secondsSince(since: number): number {
    return (this.#clock.now() - since) / 1000;
  }
}
