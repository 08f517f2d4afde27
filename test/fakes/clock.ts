import { setImmediate } from 'node:timers/promises';
import type { Clock } from '#src/runtime/clock';

interface Alarm {
  readonly dueAt: number;
  readonly callback: () => void;
}

/** More callbacks in one `advance` than any test means to run: something sets a timer of 0 again and again. */
const RUNAWAY = 100_000;

/** A clock that only moves when told to. It starts at `startMs` (0 by default). */
export class FakeClock implements Clock {
  #now: number;
  /** In order of due time; of equal ones, in the order they were set. */
  readonly #alarms: Alarm[] = [];

  constructor(startMs = 0) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    const alarm: Alarm = { dueAt: this.#now + Math.max(0, delayMs), callback };
    const later = this.#alarms.findIndex((other) => other.dueAt > alarm.dueAt);
    this.#alarms.splice(later === -1 ? this.#alarms.length : later, 0, alarm);
    return () => {
      const index = this.#alarms.indexOf(alarm);
      if (index !== -1) this.#alarms.splice(index, 1);
    };
  }

  /** How many callbacks wait; a test of "nothing left behind" expects 0. */
  get pending(): number {
    return this.#alarms.length;
  }

  /** When the next callback is due, in milliseconds from now; undefined when none waits. */
  get nextInMs(): number | undefined {
    const next = this.#alarms[0];
    return next && next.dueAt - this.#now;
  }

  /**
   * Moves time forward and runs what falls due in order, also what the callbacks add within that time. Promise
   * continuations run to their end before, between and after the callbacks, each seeing the time of its callback.
   */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms;
    await settle();
    let runs = 0;
    for (let next = this.#alarms[0]; next && next.dueAt <= target; next = this.#alarms[0]) {
      if (++runs > RUNAWAY)
        throw new Error(`more than ${RUNAWAY} callbacks within ${ms} ms: a timer sets itself again`);
      this.#alarms.shift();
      this.#now = Math.max(this.#now, next.dueAt);
      next.callback();
      await settle();
    }
    this.#now = target;
    await settle();
  }
}

/** Turns of the event loop that count as one moment: code under test may let others have a turn in between. */
const TURNS = 4;

/** Lets every promise continuation that can run now run to its end. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await setImmediate();
}
