import { BallastError, classify } from '../errors.ts';
import { Backoff, type BackoffOptions } from '../runtime/backoff.ts';
import { sleep, systemClock, type Clock } from '../runtime/clock.ts';
import type { Log } from '../telemetry/log.ts';
import { isAlreadyExists, isNotFound } from './apierror.ts';
import type { CallOptions, Draft, ObjectName } from './client.ts';
import {
  eventName,
  eventNamespace,
  eventObject,
  seriesKey,
  seriesPatch,
  type EventDetails,
  type EventSeries,
  type ObjectRef,
  type Reporter,
} from './eventseries.ts';
import type { KubeMetrics } from './metrics.ts';
import { EVENTS, type Resource } from './resources.ts';
import { TokenBucket } from './tokenbucket.ts';
import type { Event } from './wire.ts';

/** What writing Events needs of a client; `KubeClient` has it. */
export interface EventWriter {
  create(resource: Resource<Event>, event: Draft<Event>, options: CallOptions): Promise<unknown>;
  patch(resource: Resource<Event>, event: ObjectName, patch: object, options: CallOptions): Promise<unknown>;
}

export interface EventRecorderOptions {
  readonly client: EventWriter;
  readonly log: Log;
  readonly metrics: KubeMetrics;
  /** Which of several replicas reports; as a rule the pod's name. */
  readonly instance: string;
  /**
   * Called before every write; throws when this process may not write any more. What waits is dropped then: whoever
   * leads tells what is true by now.
   */
  readonly fence: () => void;
  /** Default: `ballast.dev/controller`. */
  readonly controller?: string;
  /** Most Events waiting to be written, half of them of one namespace. Default: 1000. */
  readonly queueSize?: number;
  /** How long the end of `run` may take to write what waits. Default: 3 s. */
  readonly flushMs?: number;
  readonly clock?: Clock;
}

/** Happens again within this time: the same series. client-go's `finishTime`. */
const SERIES_MS = 6 * 60_000;
const SWEEP_MS = 60_000;
/** client-go's spam filter: per object a burst, then one Event in five minutes. */
const SPAM = { burst: 25, refillMs: 5 * 60_000 } as const;
const WRITE_TIMEOUT_MS = 10_000;
/** Tries and waits for one Event while the API server is away; the others wait behind it. */
const TRIES = 6;
const BACKOFF: BackoffOptions = { initialMs: 1_000, maxMs: 10_000, jitter: 0.5 };

type DropCause = 'queue_full' | 'rate_limited' | 'refused' | 'unreachable' | 'not_leader' | 'shutdown';

interface Tracked {
  readonly series: EventSeries;
  lastAtMs: number;
}

/**
 * Writes Events (`events.k8s.io/v1`) about objects, for `kubectl describe` and `kubectl get events`. Recording never
 * waits and never fails; what cannot be written is dropped and counted. The same event again within six minutes
 * raises the count of the first one instead of making another.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #reporter: Reporter;
  readonly #queueSize: number;
  readonly #series = new Map<string, Tracked>();
  readonly #buckets = new Map<string, TokenBucket>();
  /** What is to be written, in order; a series that waits is not added again. */
  readonly #pending = new Set<EventSeries>();
  #wake: () => void = () => {};

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#reporter = { controller: options.controller ?? 'ballast.dev/controller', instance: options.instance };
    this.#queueSize = options.queueSize ?? 1000;
  }

  /** Tells that something happened to an object. Returns at once. */
  record(ref: ObjectRef, details: EventDetails): void {
    const key = seriesKey(ref, details);
    const now = this.#clock.now();
    const known = this.#series.get(key);
    if (known && now - known.lastAtMs < SERIES_MS) {
      known.lastAtMs = now;
      known.series.lastAt = new Date();
      known.series.count += 1;
      // Without a token the new count waits for the end of the series.
      if (!this.#pending.has(known.series) && this.#mayWrite(ref, now)) this.#enqueue(known.series);
      return;
    }
    if (this.#isFull(ref)) return this.#drop('queue_full');
    if (!this.#mayWrite(ref, now)) return this.#drop('rate_limited');
    const at = new Date();
    const series = { ref, details, name: eventName(ref), firstAt: at, lastAt: at, count: 1, writtenCount: 0 };
    this.#series.set(key, { series, lastAtMs: now });
    this.#enqueue(series);
  }

  /** Writes until the signal aborts, then what is left, within the flush time. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.#wake();
    signal.addEventListener('abort', onAbort, { once: true });
    let sweptAt = this.#clock.now();
    while (!signal.aborted) {
      const [next] = this.#pending;
      if (next) await this.#write(next, signal);
      else await this.#idle(sweptAt + SWEEP_MS - this.#clock.now());
      if (this.#clock.now() - sweptAt >= SWEEP_MS) {
        this.#sweep();
        sweptAt = this.#clock.now();
      }
    }
    signal.removeEventListener('abort', onAbort);
    await this.#flush();
  }

  /** Half of the queue is the most that one namespace may fill: ten thousand Services of one silence nobody else's. */
  #isFull({ namespace }: ObjectRef): boolean {
    const { size } = this.#pending;
    if (size >= this.#queueSize) return true;
    const share = Math.ceil(this.#queueSize / 2);
    if (size < share) return false;
    let own = 0;
    for (const { ref } of this.#pending) {
      if (ref.namespace === namespace) own += 1;
      if (own >= share) return true;
    }
    return false;
  }

  #enqueue(series: EventSeries): void {
    this.#pending.add(series);
    this.#wake();
  }

  #mayWrite({ kind, uid }: ObjectRef, now: number): boolean {
    const object = `${kind}/${uid}`;
    let bucket = this.#buckets.get(object);
    if (!bucket) this.#buckets.set(object, (bucket = new TokenBucket(SPAM)));
    return bucket.take(now);
  }

  /** Ends the series that did not go on: their last count is written, and they are forgotten. */
  #sweep(): void {
    const now = this.#clock.now();
    for (const [key, { series, lastAtMs }] of this.#series) {
      if (now - lastAtMs < SERIES_MS) continue;
      if (series.count > series.writtenCount) this.#pending.add(series);
      this.#series.delete(key);
    }
    for (const [object, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(object);
  }

  async #idle(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = () => {};
  }

  async #flush(): Promise<void> {
    for (const { series } of this.#series.values()) if (series.count > series.writtenCount) this.#pending.add(series);
    const end = new AbortController();
    const cancel = this.#clock.after(this.#options.flushMs ?? 3_000, () => end.abort());
    for (const series of this.#pending) {
      if (end.signal.aborted) this.#drop('shutdown');
      else await this.#write(series, end.signal, 'shutdown');
    }
    cancel();
  }

  /** Brings the Event of one series up to date, with a few tries while the API server is away. */
  async #write(series: EventSeries, signal: AbortSignal, aborted?: DropCause): Promise<void> {
    const backoff = new Backoff(BACKOFF);
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#send(series, signal);
        this.#pending.delete(series);
        // It happened again while we wrote: the new count has its turn at the end of the queue.
        const isBehind = series.count > series.writtenCount;
        if (isBehind && this.#mayWrite(series.ref, this.#clock.now())) this.#pending.add(series);
        return;
      } catch (thrown) {
        if (signal.aborted) {
          if (aborted) this.#drop(aborted);
          return;
        }
        const error = classify(thrown);
        const mayPass = error.code === 'ApiUnavailable' || error.code === 'ApiThrottled';
        if (!mayPass || tries === TRIES) {
          this.#giveUp(series, error);
          return;
        }
        const waitMs = Math.max(backoff.next(), error.retryAfterMs ?? 0);
        await sleep(this.#clock, waitMs, signal).catch(() => {});
      }
    }
  }

  async #send(series: EventSeries, signal: AbortSignal): Promise<void> {
    const { client, metrics, fence } = this.#options;
    const options = { signal, timeoutMs: WRITE_TIMEOUT_MS };
    const { count } = series;
    fence();
    if (series.writtenCount > 0) {
      try {
        const name = { namespace: eventNamespace(series.ref), name: series.name };
        await client.patch(EVENTS, name, seriesPatch(series), options);
        metrics.eventsWritten.inc({ verb: 'patch' });
        series.writtenCount = count;
        return;
      } catch (error) {
        // The API server forgets Events after an hour; this one goes on as a new one.
        if (!isNotFound(error)) throw error;
        fence();
      }
    }
    try {
      await client.create(EVENTS, eventObject(series, this.#reporter), options);
      metrics.eventsWritten.inc({ verb: 'post' });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    series.writtenCount = count;
  }

  #giveUp(series: EventSeries, error: BallastError): void {
    this.#pending.delete(series);
    this.#series.delete(seriesKey(series.ref, series.details));
    this.#drop(causeOf(error));
    const { reason, note } = series.details;
    this.#options.log.warn({ error, object: series.ref.name, reason, note }, 'an Event could not be written');
  }

  #drop(cause: DropCause): void {
    this.#options.metrics.eventsDropped.inc({ cause });
  }
}

function causeOf({ code }: BallastError): DropCause {
  if (code === 'NotLeader') return 'not_leader';
  return code === 'ApiUnavailable' || code === 'ApiThrottled' ? 'unreachable' : 'refused';
}
