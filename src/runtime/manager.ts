import { isAbort } from '../errors.ts';
import type { Check } from '../telemetry/checks.ts';
import type { Log } from '../telemetry/log.ts';
import type { Clock } from './clock.ts';
import { settlesWithin, untilAborted } from './wait.ts';

/** A part of the process that lives from its start to its signal. */
export interface Component {
  readonly name: string;
  /**
   * Works until the signal aborts, ends what it owns, and resolves. May resolve before, when its work is done. A
   * rejection before the abort is a failure of the whole process.
   */
  start(signal: AbortSignal): Promise<void>;
  /** Starts only once this process leads, and ends at once when it leads no longer. */
  readonly needsLeadership?: boolean;
  /**
   * Gives the leadership up when it ends, so it is not told to while a part that needs leadership still runs: the
   * process ends with it in hand then, and others wait until it expires.
   */
  readonly keepsLeadership?: boolean;
  /** True when it is ready; otherwise why not, or false. Asked while it runs; ready by default. */
  ready?(): boolean | string;
  /** True unless only a new process can help; then why, or false. Asked while it runs; true by default. */
  live?(): boolean | string;
}

/** Who may act, as somebody else decides it. */
export interface Leadership {
  /** Resolves when this process leads. */
  readonly acquired: Promise<void>;
  /** Aborts, with an error as its reason, when this process leads no longer; it cannot lead again. */
  readonly lost: AbortSignal;
}

export interface ManagerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Without it the process counts as the leader. */
  readonly leadership?: Leadership;
  /** From the end of the signal to the end of `run`, in milliseconds; 10 s by default. */
  readonly stopTimeoutMs?: number;
}

interface Part {
  readonly component: Component;
  readonly abort: AbortController;
  state: 'waiting' | 'running' | 'ended';
}

interface Started {
  readonly part: Part;
  readonly ended: Promise<void>;
}

/** The share of the time to stop that components have to end one after the other, before the rest is told at once. */
const ORDERLY_SHARE = 0.8;

/**
 * Runs components together: starts them in the order in which they were added, ends first those that need
 * leadership, then the others in the reverse order, and ends all when one fails.
 */
export class Manager {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #leadership: Leadership | undefined;
  readonly #stopTimeoutMs: number;
  readonly #parts: Part[] = [];
  /** In the order in which they started. */
  readonly #started: Started[] = [];
  readonly #stop = new AbortController();
  #failure: { readonly error: unknown } | undefined;
  #hasRun = false;

  constructor({ clock, log, leadership, stopTimeoutMs = 10_000 }: ManagerOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#leadership = leadership;
    this.#stopTimeoutMs = stopTimeoutMs;
  }

  /** Throws once `run` was called, and for a name that is taken. */
  add(component: Component): void {
    if (this.#hasRun) throw new Error(`component ${component.name} comes too late: the manager runs`);
    if (this.#parts.some((part) => part.component.name === component.name)) {
      throw new Error(`there is a component ${component.name} already`);
    }
    this.#parts.push({ component, abort: new AbortController(), state: 'waiting' });
  }

  /** What `/readyz` shows: each component, and that the process is not about to end. */
  checks(): readonly Check[] {
    const components = this.#parts.map((part) => ({ name: part.component.name, check: () => this.#ready(part) }));
    return [...components, { name: 'shutdown', check: () => (this.#stop.signal.aborted ? 'the process ends' : true) }];
  }

  /** What `/healthz` shows: each component that could ask for a new process. */
  liveChecks(): readonly Check[] {
    return this.#parts
      .filter(({ component }) => component.live !== undefined)
      .map((part) => ({
        name: part.component.name,
        check: () => part.state !== 'running' || (part.component.live?.() ?? true),
      }));
  }

  /**
   * Resolves when the signal aborted, or every component finished by itself, and all have ended. Rejects with the
   * first failure of a component, with the reason for which leadership was lost, or when components did not end in
   * time. May be called once.
   */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#hasRun) throw new Error('the manager has run before');
    this.#hasRun = true;
    const onAbort = (): void => this.#stop.abort(signal.reason);
    const lost = this.#leadership?.lost;
    const onLost = (): void => this.#loseLeadership(lost?.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    lost?.addEventListener('abort', onLost, { once: true });
    if (signal.aborted) onAbort();
    if (lost?.aborted) onLost();

    this.#start(this.#parts.filter((part) => !this.#isGated(part)));
    void this.#startGated();
    await untilAborted(this.#stop.signal);
    signal.removeEventListener('abort', onAbort);
    const late = await this.#end();
    lost?.removeEventListener('abort', onLost);
    if (this.#failure) throw this.#failure.error;
    if (late.length > 0) {
      throw new Error(`these components did not end within ${this.#stopTimeoutMs} ms: ${late.join(', ')}`);
    }
  }

  async #startGated(): Promise<void> {
    try {
      await this.#leadership?.acquired;
    } catch (error) {
      this.#fail('leadership', error);
    }
    this.#start(this.#parts.filter((part) => this.#isGated(part)));
    this.#stopWhenAllEnded();
  }

  #isGated(part: Part): boolean {
    return this.#leadership !== undefined && part.component.needsLeadership === true;
  }

  #start(parts: readonly Part[]): void {
    for (const part of parts) {
      if (this.#stop.signal.aborted) return;
      this.#log.debug({ component: part.component.name }, 'component starts');
      part.state = 'running';
      this.#started.push({ part, ended: this.#runPart(part) });
    }
  }

  /** Never rejects. */
  async #runPart(part: Part): Promise<void> {
    const { component, abort } = part;
    try {
      await component.start(abort.signal);
      this.#log.debug({ component: component.name }, 'component ended');
    } catch (error) {
      const wasAsked = abort.signal.aborted && (isAbort(error) || error === abort.signal.reason);
      if (!wasAsked) this.#fail(component.name, error);
    }
    part.state = 'ended';
    this.#stopWhenAllEnded();
  }

  #stopWhenAllEnded(): void {
    if (this.#parts.every(({ state }) => state === 'ended')) this.#stop.abort();
  }

  /** The first failure is the one that counts; the others are only logged. */
  #fail(name: string, error: unknown): void {
    this.#log.error({ component: name, error }, 'component failed');
    this.#failure ??= { error };
    this.#stop.abort(error);
  }

  /** Whoever leads no longer may write nothing more: no order and no waiting here. Giving it up at the end is fine. */
  #loseLeadership(reason: unknown): void {
    for (const part of this.#parts) if (this.#isGated(part)) part.abort.abort(reason);
    if (!this.#stop.signal.aborted) this.#fail('leadership', reason);
  }

  /** Ends what has started, last first; the names of those that do not end. */
  async #end(): Promise<readonly string[]> {
    const deadline = this.#clock.now() + this.#stopTimeoutMs;
    const orderlyUntil = this.#clock.now() + this.#stopTimeoutMs * ORDERLY_SHARE;
    const reason: unknown = this.#stop.signal.reason;
    for (const stage of this.#stages()) {
      for (const { part } of stage) part.abort.abort(reason);
      const ended = Promise.all(stage.map(({ ended: one }) => one));
      if (!(await settlesWithin(this.#clock, ended, orderlyUntil - this.#clock.now()))) break;
    }
    const [keepers, others] = partition(this.#started, ({ part }) => part.component.keepsLeadership === true);
    for (const { part } of others) part.abort.abort(reason);
    const gated = others.filter(({ part }) => this.#isGated(part)).map(({ ended }) => ended);
    if (await settlesWithin(this.#clock, Promise.all(gated), deadline - this.#clock.now())) {
      for (const { part } of keepers) part.abort.abort(reason);
    }
    const all = Promise.all(this.#started.map(({ ended }) => ended));
    await settlesWithin(this.#clock, all, deadline - this.#clock.now());
    return this.#started
      .filter(({ part }) => part.abort.signal.aborted && part.state !== 'ended')
      .map(({ part }) => part.component.name);
  }

  /**
   * What is told to end together, in order. Those that need leadership need nothing of each other: one after the other,
   * a slow one would leave the next too little time to take away what it has outside.
   */
  #stages(): readonly (readonly Started[])[] {
    const [leading, others] = partition(this.#started, ({ part }) => part.component.needsLeadership === true);
    return [leading, ...others.toReversed().map((one) => [one])];
  }

  #ready(part: Part): boolean | string {
    if (part.state === 'waiting') return this.#isGated(part) || 'not started';
    return part.component.ready?.() ?? true;
  }
}

/** Those for which it is true, and the others. */
function partition<T>(all: readonly T[], is: (one: T) => boolean): readonly [readonly T[], readonly T[]] {
  return [all.filter(is), all.filter((one) => !is(one))];
}
