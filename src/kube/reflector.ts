import { BallastError, classify } from '../errors.ts';
import { Backoff, type BackoffOptions } from '../runtime/backoff.ts';
import { sleep, systemClock, type Clock } from '../runtime/clock.ts';
import type { Log } from '../telemetry/log.ts';
import { isExpired } from './apierror.ts';
import type { Availability } from './availability.ts';
import { listPages, type ListWatcher } from './listpages.ts';
import type { KubeMetrics } from './metrics.ts';
import { isOlderVersion } from './resourceversion.ts';
import type { Resource } from './resources.ts';
import type { Store } from './store.ts';
import type { Trim } from './trim.ts';
import type { WatchEvent } from './watchevents.ts';
import type { KubeObject } from './wire.ts';

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: ListWatcher<T>;
  readonly resource: Resource<T>;
  /** Filled by this reflector alone. */
  readonly store: Pick<Store<T>, 'put' | 'delete' | 'replace' | 'size'>;
  readonly trim: Trim<T>;
  readonly log: Log;
  readonly metrics: KubeMetrics;
  /** Label of the metrics; default: the resource's plural. */
  readonly name?: string;
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Objects per page of a list. Default: 500. */
  readonly pageSize?: number;
  /** How long the API server may be silent on a watch. Default: 90 s; bookmarks come about every 60 s. */
  readonly inactivityMs?: number;
  /** A watch is ended by the server after a random time between this and its double. Default: 300 s. */
  readonly watchSeconds?: number;
  /** Waits after failures. Default: 0.8 s doubling to 10 s, plus up to as much again at random. */
  readonly backoff?: BackoffOptions;
  /** Ends such a wait early when the API server is back. */
  readonly availability?: Pick<Availability, 'onBack'>;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** client-go's numbers but for the longest wait (30 s): those are for a client on every node, and we are a few. */
const BACKOFF: BackoffOptions = { initialMs: 800, maxMs: 10_000, factor: 2, jitter: 1 };

/** After so long without a failure the next one starts with the shortest wait again. */
const STABLE_MS = 120_000;

/** At the end of an outage all who wait begin again at a random time within this. */
const SPREAD_MS = 800;

/**
 * So many lists in a row that are older than what we saw are asked for again: they come from a cache that lags behind.
 * The next one is believed, for etcd may have been restored from a backup.
 */
const DISTRUSTED_LISTS = 4;

/** A watch that ends sooner and without an event is a failure; else a broken proxy would have us loop. */
const SHORT_WATCH_MS = 1_000;

/** A Retry-After beyond this would leave the store stale for too long. */
const LONGEST_WAIT_MS = 120_000;

/**
 * After so many watches in a row that said nothing at all, the list is read again. An API server whose etcd was
 * restored from a backup accepts our resource version, which lies in its future, and is silent for ever.
 */
const SILENT_WATCHES = 3;

/**
 * Keeps a store like the API server's content of one resource: lists all objects, then watches the changes, for as
 * long as it runs. Failures are logged, counted and waited out; while they last the store keeps its old content, and
 * after a new list only what differs is told.
 */
export class Reflector<T extends KubeObject> {
  readonly name: string;
  /** Resolves when the store was filled for the first time; rejects when `run` ends before. */
  readonly hasSynced: Promise<void>;

  readonly #options: ReflectorOptions<T>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Log;
  readonly #backoff: Backoff;
  readonly #firstSync: PromiseWithResolvers<void> = Promise.withResolvers();
  /** From where the next watch starts; undefined: a list is needed. */
  #version: string | undefined;
  /** The newest version that we saw, while there is no reason to distrust it. */
  #newest: string | undefined;
  #distrusted = 0;
  /** Something came since the last failure. */
  #progressed = false;
  #lastEventAt: number | undefined;
  #lastFailureAt = Number.NEGATIVE_INFINITY;
  #silentWatches = 0;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.name = options.name ?? options.resource.plural;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#log = options.log.child({ reflector: this.name });
    this.#backoff = new Backoff(options.backoff ?? BACKOFF, this.#random);
    this.hasSynced = this.#firstSync.promise;
    // Whoever waits sees the rejection; nobody has to.
    this.hasSynced.catch(() => {});
  }

  get size(): number {
    return this.#options.store.size;
  }

  /** Milliseconds since the API server last sent anything; undefined before the first list. */
  get lastEventAgeMs(): number | undefined {
    return this.#lastEventAt === undefined ? undefined : this.#clock.now() - this.#lastEventAt;
  }

  /** Lists and watches until the signal aborts; never rejects. Call it once. */
  async run(signal: AbortSignal): Promise<void> {
    const unwatch = this.#options.metrics.watchReflector(this);
    while (!signal.aborted) {
      try {
        this.#version ??= await this.#list(signal);
        await this.#watch(this.#version, signal);
      } catch (error) {
        if (!signal.aborted) await this.#waitAfter(error, signal);
      }
    }
    unwatch();
    this.#firstSync.reject(signal.reason);
  }

  async #list(signal: AbortSignal): Promise<string> {
    const { client, resource, store, trim, metrics, pageSize = 500 } = this.#options;
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const startedAt = this.#clock.now();
    metrics.lists.inc({ name: this.name });
    const selection = { namespace, labelSelector, fieldSelector };
    const { objects, resourceVersion } = await listPages({ client, resource, trim, pageSize, signal, ...selection });
    signal.throwIfAborted();
    this.#checkAge(resourceVersion);
    const ms = this.#clock.now() - startedAt;
    metrics.listDuration.observe({ name: this.name }, ms / 1000);
    this.#log.info({ objects: objects.length, resourceVersion, ms: Math.round(ms) }, 'listed');
    this.#lastEventAt = this.#clock.now();
    store.replace(objects);
    this.#firstSync.resolve();
    return resourceVersion;
  }

  /** Objects that a stale list lacks, or has still, would be lost and found again: load balancers would come and go. */
  #checkAge(version: string): void {
    if (this.#newest !== undefined && isOlderVersion(version, this.#newest)) {
      this.#distrusted += 1;
      const message = `The list of ${this.name} (version ${version}) is older than what came before (${this.#newest}).`;
      if (this.#distrusted <= DISTRUSTED_LISTS) throw new BallastError('ApiUnavailable', message);
      this.#log.warn({ seen: this.#newest, version }, 'the API server has gone back to an older state; believing it');
    }
    this.#distrusted = 0;
    this.#newest = version;
  }

  #saw(version: string): void {
    this.#version = version;
    this.#newest = version;
    this.#progressed = true;
  }

  /** One watch; returns when the server ends it in peace. */
  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { client, resource, metrics, inactivityMs = 90_000, watchSeconds = 300 } = this.#options;
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const startedAt = this.#clock.now();
    let events = 0;
    metrics.watches.inc({ name: this.name });
    try {
      const changes = client.watch(resource, {
        resourceVersion,
        // Random, so that the watches of a whole cluster do not end and begin together.
        timeoutSeconds: Math.floor(watchSeconds * (1 + this.#random())),
        inactivityMs,
        signal,
        namespace,
        labelSelector,
        fieldSelector,
      });
      for await (const event of changes) {
        events += 1;
        this.#apply(event);
      }
    } finally {
      this.#countSilence(events, this.#clock.now() - startedAt, inactivityMs);
    }
    if (events === 0 && this.#clock.now() - startedAt < SHORT_WATCH_MS && !signal.aborted) {
      metrics.shortWatches.inc({ name: this.name });
      throw new BallastError('ApiUnavailable', `The watch of ${this.name} ended at once and without an event.`);
    }
  }

  #apply(event: WatchEvent<T>): void {
    const { store, trim, metrics } = this.#options;
    metrics.watchEvents.inc({ name: this.name, type: event.type });
    this.#lastEventAt = this.#clock.now();
    if (event.type === 'BOOKMARK') {
      this.#saw(event.resourceVersion);
      return;
    }
    // Even if we cannot use this object: asking again from before it would bring it again, for ever.
    this.#saw(event.object.metadata.resourceVersion);
    try {
      const object = trim(event.object);
      if (event.type === 'DELETED') store.delete(object);
      else store.put(object);
    } catch (error) {
      this.#log.error({ error, object: event.object.metadata.name }, 'an event could not be applied');
    }
  }

  #countSilence(events: number, ms: number, inactivityMs: number): void {
    if (events > 0) this.#silentWatches = 0;
    else if (ms >= inactivityMs) this.#silentWatches += 1;
    if (this.#silentWatches < SILENT_WATCHES) return;
    this.#silentWatches = 0;
    this.#version = undefined;
    this.#newest = undefined;
  }

  async #waitAfter(thrown: unknown, signal: AbortSignal): Promise<void> {
    const error = classify(thrown);
    const now = this.#clock.now();
    // A watch that breaks off is no sign of a server in trouble; to list everything again and again would make it one.
    const wentWell = this.#progressed && !isExpired(error);
    if (wentWell || now - this.#lastFailureAt > STABLE_MS) this.#backoff.reset();
    this.#progressed = false;
    this.#lastFailureAt = now;
    if (isExpired(error)) this.#version = undefined;
    const asked = Math.min(error.retryAfterMs ?? 0, LONGEST_WAIT_MS);
    const waitMs = Math.max(this.#backoff.next(), asked);
    this.#options.metrics.reflectorFailures.inc({ name: this.name, code: error.code });
    this.#log.warn({ error, waitMs: Math.round(waitMs) }, 'the list or watch failed; trying again');
    await this.#pause(waitMs, signal);
  }

  /** Waits; when the API server is back after an outage, not much longer. */
  async #pause(waitMs: number, signal: AbortSignal): Promise<void> {
    const wake = new AbortController();
    const onAbort = (): void => wake.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    const forget = this.#options.availability?.onBack(onAbort);
    await sleep(this.#clock, waitMs, wake.signal).catch(() => {});
    forget?.();
    signal.removeEventListener('abort', onAbort);
    if (!wake.signal.aborted || signal.aborted) return;
    this.#backoff.reset();
    await sleep(this.#clock, this.#random() * SPREAD_MS, signal).catch(() => {});
  }
}
