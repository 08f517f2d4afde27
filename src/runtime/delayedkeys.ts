import type { Clock } from './clock.ts';
import { DeadlineHeap } from './heap.ts';

/** Holds keys back until they are due; however many there are, they share one timer. */
export class DelayedKeys<Key> {
  readonly #clock: Clock;
  readonly #release: (key: Key) => void;
  readonly #heap = new DeadlineHeap<Key>();
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;

  /** `release` is called with each key when its time has come. */
  constructor(clock: Clock, release: (key: Key) => void) {
    this.#clock = clock;
    this.#release = release;
  }

  /** How many keys wait. */
  get size(): number {
    return this.#heap.size;
  }

  /** Releases the key after `delayMs`, or when it was due before, if that is earlier. */
  add(key: Key, delayMs: number): void {
    this.#heap.add(key, this.#clock.now() + delayMs);
    this.#arm();
  }

  /** Drops every key and the timer. */
  clear(): void {
    this.#heap.clear();
    this.#arm();
  }

  #arm(): void {
    const at = this.#heap.nextAt;
    if (at === this.#timer?.at) return;
    this.#timer?.cancel();
    this.#timer =
      at === undefined
        ? undefined
        : { at, cancel: this.#clock.after(at - this.#clock.now(), () => this.#releaseDue()) };
  }

  /** A timer may fire early (a delay longer than a timer can hold, rounding): what is not due yet waits on. */
  #releaseDue(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (let key = this.#heap.takeDue(now); key !== undefined; key = this.#heap.takeDue(now)) this.#release(key);
    this.#arm();
  }
}
