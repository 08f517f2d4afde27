/**
 * Kills a process at an exact point of what it does: fault proxies stand where its effects pass, so each of them is
 * counted, and the chosen one is stopped before the other side knows of it or after it was carried out, while the
 * process has not heard of it.
 */
import type { Exchange, FaultProxy, Match } from './fault-proxy.ts';

/** A way by which effects leave the process. */
export interface Gate {
  /** For people: `API server`. */
  readonly name: string;
  readonly proxy: FaultProxy;
  /** Which requests are effects that count. */
  readonly isEffect: Match;
}

export interface KillPoint {
  /** Which effect: counts from 1. */
  readonly effect: number;
  /** Only effects that pass the gate of this name count; by default all do. */
  readonly gate?: string;
  /** Before the other side knows of it, or after it was carried out and before the answer. */
  readonly moment: 'before' | 'after';
}

export class KillSwitch {
  readonly #gates: readonly Gate[];
  #watch: Watch | undefined;

  constructor(gates: readonly Gate[]) {
    this.#gates = gates;
    for (const gate of gates) {
      gate.proxy.before((exchange) => {
        return gate.isEffect(exchange) ? this.#watch?.begin(gate, exchange) : undefined;
      });
      gate.proxy.after((exchange) => this.#watch?.end(exchange));
    }
  }

  /**
   * Counts from now on. At the point, `kill` is called, which resolves when the process has ended; without a point
   * nobody is killed. What was armed before is forgotten.
   */
  arm(point?: KillPoint, kill: () => Promise<void> = () => Promise.resolve()): Watch {
    this.#watch = new Watch(point, kill);
    return this.#watch;
  }

  /** Nothing counts any more. */
  disarm(): void {
    this.#watch = undefined;
  }

  /** For the message of a failure: what has passed the gates lately, oldest first. */
  get lately(): string {
    return this.#gates
      .flatMap(({ name, proxy, isEffect }) =>
        proxy.exchanges
          .filter(isEffect)
          .slice(-25)
          .map((each) => line(name, each)),
      )
      .join('\n');
  }
}

/** What passed the gates since the switch was armed. */
export class Watch {
  /** Each effect in words, in the order in which they came. */
  readonly effects: string[] = [];
  /** Resolves when the process was killed at the point, and has ended. */
  readonly killed: Promise<void>;
  readonly #point: KillPoint | undefined;
  readonly #kill: () => Promise<void>;
  /** Those under way, and whether the point is after them. */
  readonly #open = new Map<Exchange, boolean>();
  #counted = 0;
  readonly #killed = Promise.withResolvers<void>();
  #state: 'alive' | 'dying' | 'dead' = 'alive';

  constructor(point: KillPoint | undefined, kill: () => Promise<void>) {
    this.#point = point;
    this.#kill = kill;
    this.killed = this.#killed.promise;
  }

  /** Whether the point was reached. */
  get hasKilled(): boolean {
    return this.#state !== 'alive';
  }

  /** Whether an effect is under way. */
  get isBusy(): boolean {
    return this.#open.size > 0;
  }

  /** A request that throws here is not forwarded. */
  async begin(gate: Gate, exchange: Exchange): Promise<void> {
    if (this.#state === 'dead') return;
    // What others of its tasks send while it dies never arrives.
    if (this.#state === 'dying') throw new Error('sent by a process that is being killed');
    this.effects.push(line(gate.name, exchange));
    const isMeant = this.#counts(gate) && this.#counted === this.#point?.effect;
    if (isMeant && this.#point?.moment === 'before') return this.#fire();
    this.#open.set(exchange, isMeant);
  }

  /** An answer that throws here is not passed on. */
  async end(exchange: Exchange): Promise<void> {
    const isMeant = this.#open.get(exchange) ?? false;
    this.#open.delete(exchange);
    if (isMeant && this.#state === 'alive') return this.#fire();
  }

  #counts({ name }: Gate): boolean {
    if (this.#point?.gate !== undefined && this.#point.gate !== name) return false;
    this.#counted += 1;
    return true;
  }

  async #fire(): Promise<never> {
    this.#state = 'dying';
    await this.#kill();
    this.#state = 'dead';
    this.#killed.resolve();
    throw new Error('the process was killed here');
  }
}

function line(gate: string, { method, path, body }: Exchange): string {
  return `${gate}: ${method} ${path} ${body.slice(0, 160)}`.trimEnd();
}
