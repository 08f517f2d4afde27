/** Keeps asking nodes how they are; each node and port once, however many load balancers want to know. */
import type { Clock } from './clock.ts';
import type { Probe } from './http-probe.ts';
import { UNCHECKED, afterProbe, isUndecided, type Health, type ProbeState, type Thresholds } from './probe-state.ts';

/** What is asked, and where. */
export interface Check {
  readonly node: string;
  readonly host: string;
  readonly port: number;
}

/** One check under way, as those who want to know see it. */
export interface Watched {
  readonly check: Check;
  readonly health: Health;
  /** When it last passed, by the clock; undefined for never. */
  readonly passedAt: number | undefined;
}

export interface HealthOptions {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly thresholds: Thresholds;
}

/** Most checks under way at once. */
const MOST_AT_ONCE = 64;
/** Most checks a second; with more nodes than that allows for, the interval grows. */
const MOST_PER_SECOND = 400;
/** A check that gave no clear answer is repeated after this time, if the interval is not shorter. */
const SOON_MS = 500;
/** Up to this share of the interval is added at random, so that checks do not march in step. */
const JITTER = 0.2;

class Entry implements Watched {
  readonly check: Check;
  readonly key: string;
  state: ProbeState = UNCHECKED;
  passedAt: number | undefined;
  watchers = 0;
  /** Cancels the timer of the next check. */
  cancel: (() => void) | undefined;
  /** Asked for again while a check was under way. */
  again = false;
  running = false;

  constructor(check: Check, key: string) {
    this.check = check;
    this.key = key;
  }

  get health(): Health {
    return this.state.health;
  }
}

export class HealthChecker {
  readonly #options: HealthOptions;
  readonly #clock: Clock;
  readonly #probe: Probe;
  readonly #random: () => number;
  readonly #onChange: (watched: Watched) => void;
  readonly #onGone: (check: Check) => void;
  readonly #entries = new Map<string, Entry>();
  /** Waiting for one of the places. */
  readonly #due = new Set<Entry>();
  #running = 0;
  #signal: AbortSignal | undefined;
  #version = 0;

  /** `onChange` is called whenever the health of a check has changed, `onGone` when nobody watches it any more. */
  constructor(
    options: HealthOptions,
    deps: {
      readonly clock: Clock;
      readonly probe: Probe;
      readonly onChange: (watched: Watched) => void;
      readonly onGone: (check: Check) => void;
      readonly random?: () => number;
    },
  ) {
    this.#options = options;
    this.#clock = deps.clock;
    this.#probe = deps.probe;
    this.#onChange = deps.onChange;
    this.#onGone = deps.onGone;
    this.#random = deps.random ?? Math.random;
  }

  /** Goes up with every change of any health. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Begins to ask, until the signal aborts. Before that, everything stays unchecked. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#stop(), { once: true });
    for (const entry of this.#entries.values()) this.#enqueue(entry);
  }

  /** The health of this check, kept up to date until as many `unwatch` as `watch` were called. */
  watch(check: Check): Watched {
    const key = `${check.host} ${check.port} ${check.node}`;
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = new Entry(check, key);
      this.#entries.set(key, entry);
      this.#enqueue(entry);
    }
    entry.watchers++;
    return entry;
  }

  unwatch(watched: Watched): void {
    const entry = this.#find(watched);
    if (!entry || --entry.watchers > 0) return;
    entry.cancel?.();
    this.#due.delete(entry);
    this.#entries.delete(entry.key);
    this.#onGone(entry.check);
  }

  /** Asks again as soon as possible. */
  recheck(watched: Watched): void {
    const entry = this.#find(watched);
    if (entry) this.#enqueue(entry);
  }

  #find(watched: Watched): Entry | undefined {
    return watched instanceof Entry && this.#entries.get(watched.key) === watched ? watched : undefined;
  }

  #stop(): void {
    this.#due.clear();
    for (const entry of this.#entries.values()) entry.cancel?.();
  }

  #enqueue(entry: Entry): void {
    if (!this.#signal || this.#signal.aborted) return;
    entry.cancel?.();
    if (entry.running) entry.again = true;
    else this.#due.add(entry);
    this.#fill();
  }

  #fill(): void {
    for (const entry of this.#due) {
      if (this.#running >= MOST_AT_ONCE) return;
      this.#due.delete(entry);
      void this.#run(entry);
    }
  }

  async #run(entry: Entry): Promise<void> {
    const signal = this.#signal;
    if (!signal) return;
    this.#running++;
    entry.running = true;
    entry.again = false;
    const { host, port } = entry.check;
    const result = await this.#probe(host, port, this.#options.timeoutMs, signal);
    this.#running--;
    entry.running = false;
    if (signal.aborted) return;
    this.#fill();
    if (this.#entries.get(entry.key) !== entry) return;
    const before = entry.health;
    entry.state = afterProbe(entry.state, result, this.#options.thresholds);
    if (result === 'yes') entry.passedAt = this.#clock.now();
    if (entry.health !== before) {
      this.#version++;
      this.#onChange(entry);
    }
    if (entry.again) this.#enqueue(entry);
    else entry.cancel = this.#clock.after(this.#wait(entry), () => this.#enqueue(entry));
  }

  #wait({ state }: Entry): number {
    const interval = Math.max(this.#options.intervalMs, (this.#entries.size * 1_000) / MOST_PER_SECOND);
    const wait = isUndecided(state) ? Math.min(SOON_MS, interval) : interval;
    return wait * (1 + JITTER * this.#random());
  }
}
