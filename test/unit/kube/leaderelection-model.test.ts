import * as fc from 'fast-check';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { LeaderElector } from '#src/kube/leaderelection';
import { registerKubeMetrics } from '#src/kube/metrics';
import type { Clock } from '#src/runtime/clock';
import { FakeClock, settle } from '#test/fakes/clock';
import { silentLog } from '#test/fakes/log';
import { MemoryLeases, NO_TROUBLE, type Trouble } from './memory-lease.ts';

/**
 * The clock of one process: it started somewhere else, runs at its own speed, and while the process is stopped
 * (SIGSTOP) time goes on but no timer fires until it wakes.
 */
class ProcessClock implements Clock {
  readonly #world: FakeClock;
  readonly #offset: number;
  readonly #speed: number;
  readonly #held: (() => void)[] = [];
  isStopped = false;

  constructor(world: FakeClock, offset: number, speed: number) {
    this.#world = world;
    this.#offset = offset;
    this.#speed = speed;
  }

  now(): number {
    return this.#offset + this.#world.now() * this.#speed;
  }

  after(delayMs: number, callback: () => void): () => void {
    let isCancelled = false;
    const run = (): void => {
      if (isCancelled) return;
      if (this.isStopped) this.#held.push(run);
      else callback();
    };
    const cancel = this.#world.after(delayMs / this.#speed, run);
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  wake(): void {
    this.isStopped = false;
    for (const run of this.#held.splice(0)) run();
  }
}

interface Participant {
  readonly offset: number;
  readonly speed: number;
  readonly outlivesLease: boolean;
  /** What its time of day is wrong by, from one look at it to the next. */
  readonly daysOff: readonly number[];
}

type Step =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: (typeof ACTIONS)[number]; readonly who: number };

/** What may happen to a process; cut off, none of its requests arrives. */
const ACTIONS = ['stop', 'wake', 'cut off', 'reconnect', 'shut down', 'restart'] as const;

const participant: fc.Arbitrary<Participant> = fc.record({
  offset: fc.integer({ min: 0, max: 1_000_000 }),
  // Renewals count for 10 s and others wait for 15 s: clocks may differ by a third.
  speed: fc.constantFrom(0.9, 1, 1.1),
  outlivesLease: fc.boolean(),
  daysOff: fc.array(fc.double({ min: -400, max: 400, noNaN: true }), { minLength: 1, maxLength: 5 }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('wait'), ms: fc.integer({ min: 100, max: 20_000 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(...ACTIONS, ...ACTIONS.slice(0, 4)),
      who: fc.nat(1),
    }),
  },
);

/** Mostly nothing; now and then a delay, a lost request or a lost answer. */
const trouble: fc.Arbitrary<Trouble> = fc.oneof(
  { weight: 5, arbitrary: fc.constant(NO_TROUBLE) },
  {
    weight: 3,
    arbitrary: fc.record({
      toServerMs: fc.integer({ min: 0, max: 8_000 }),
      backMs: fc.integer({ min: 0, max: 8_000 }),
      requestLost: fc.boolean(),
      answerLost: fc.boolean(),
    }),
  },
);

interface Process {
  readonly clock: ProcessClock;
  readonly elector: LeaderElector;
  readonly stop: AbortController;
  isCutOff: boolean;
}

/** A few processes and one Lease. */
class World {
  readonly clock: FakeClock = new FakeClock();
  readonly leases: MemoryLeases = new MemoryLeases();
  readonly troubles: Trouble[];
  readonly processes: Process[];
  /** How often somebody became the leader. */
  terms = 0;
  /** The most that ever led at once. */
  mostLeaders = 0;
  #born = 0;

  constructor(participants: readonly Participant[], troubles: readonly Trouble[]) {
    this.troubles = [...troubles];
    this.processes = participants.map((each) => this.#start(each));
  }

  #start({ offset, speed, outlivesLease, daysOff }: Participant): Process {
    let dates = 0;
    const clock = new ProcessClock(this.clock, offset, speed);
    const stop = new AbortController();
    this.#born += 1;
    const next = (): Trouble => {
      const trouble = this.troubles.shift() ?? NO_TROUBLE;
      return process.isCutOff ? { ...trouble, requestLost: true } : trouble;
    };
    const elector = new LeaderElector({
      lease: this.leases.api(this.clock, next),
      identity: `process-${this.#born}`,
      log: silentLog,
      metrics: registerKubeMetrics(new Registry()),
      clock,
      date: () => new Date(Date.UTC(2026) + this.clock.now() + (daysOff[dates++ % daysOff.length] ?? 0) * 86_400_000),
      random: () => 0.5,
      outlivesLease,
      onResume: () => (this.terms += 1),
    });
    const process: Process = { clock, elector, stop, isCutOff: false };
    void elector.acquired.then(() => (this.terms += 1));
    elector.run(stop.signal).catch(() => {});
    return process;
  }

  async take(each: Step): Promise<void> {
    if (each.kind === 'wait') {
      // Small ticks, so that no overlap of two leaders goes unseen.
      for (let passed = 0; passed < each.ms; passed += 250) {
        await this.clock.advance(250);
        this.#look();
      }
      return;
    }
    const process = this.processes[each.who];
    if (!process) return;
    if (each.kind === 'stop') process.clock.isStopped = true;
    if (each.kind === 'cut off') process.isCutOff = true;
    if (each.kind === 'reconnect') process.isCutOff = false;
    if (each.kind === 'shut down') process.stop.abort();
    if (each.kind === 'wake') {
      process.clock.isStopped = false;
      // Before any of its timers runs: what it believes in the very moment in which it wakes.
      this.#look();
      process.clock.wake();
    }
    if (each.kind === 'restart') {
      // A crash: it neither gives back its Lease nor ever runs again.
      process.clock.isStopped = true;
      this.processes[each.who] = this.#start({
        offset: 7 * this.#born,
        speed: 1,
        outlivesLease: this.#born % 2 === 0,
        daysOff: [0],
      });
    }
    await settle();
    this.#look();
  }

  #look(): void {
    this.mostLeaders = Math.max(this.mostLeaders, this.leaders().length);
  }

  /** Who could write now: those that are stopped cannot. */
  leaders(): LeaderElector[] {
    return this.processes
      .filter(({ clock }) => !clock.isStopped)
      .map(({ elector }) => elector)
      .filter((elector) => {
        try {
          elector.fence();
          return true;
        } catch {
          return false;
        }
      });
  }
}

describe('any number of electors', () => {
  it('never lead together, whatever is lost, late, stopped or restarted, and wherever clocks jump', async () => {
    let terms = 0;
    const worlds = fc.tuple(
      fc.array(participant, { minLength: 2, maxLength: 3 }),
      fc.array(trouble, { maxLength: 80 }),
      fc.array(step, { minLength: 10, maxLength: 40 }),
    );
    await fc.assert(
      fc.asyncProperty(worlds, async ([participants, troubles, steps]) => {
        const world = new World(participants, troubles);
        for (const each of steps) await world.take(each);
        expect(world.mostLeaders).toBeLessThanOrEqual(1);
        terms += world.terms;
      }),
      { numRuns: 120 },
    );
    // Two who never lead do not lead together either: there must have been leaders, and changes.
    expect(terms).toBeGreaterThan(120);
  }, 60_000);

  it('have a leader again, however it ended before, once the troubles are over', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(participant, { minLength: 2, maxLength: 2 }),
        fc.array(trouble),
        async (two, troubles) => {
          const world = new World(two, troubles);
          await world.take({ kind: 'wait', ms: 10_000 });
          world.troubles.length = 0;
          await world.take({ kind: 'restart', who: 0 });
          await world.take({ kind: 'restart', who: 1 });
          await world.take({ kind: 'wait', ms: 30_000 });
          expect(world.leaders()).toHaveLength(1);
        },
      ),
      { numRuns: 20 },
    );
  }, 60_000);
});
