import type { KubeObject } from './wire.ts';

/** The values under which an object is found; none keeps it out of the index. */
export type IndexFunction<T extends KubeObject> = (object: T) => readonly string[];

const NO_KEYS: ReadonlySet<string> = new Set();

/** Keys of objects by a value that each has; a change costs as much as the object has values. */
export class Index<T extends KubeObject> {
  readonly #values: IndexFunction<T>;
  readonly #keys = new Map<string, Set<string>>();

  constructor(values: IndexFunction<T>) {
    this.#values = values;
  }

  /** The keys of the objects with this value. */
  keys(value: string): ReadonlySet<string> {
    return this.#keys.get(value) ?? NO_KEYS;
  }

  /** Follows one object from its previous state to its next; undefined is absence. */
  move(key: string, previous: T | undefined, next: T | undefined): void {
    const after = new Set(next && this.#values(next));
    for (const value of previous ? this.#values(previous) : []) {
      if (after.has(value)) continue;
      const keys = this.#keys.get(value);
      keys?.delete(key);
      if (keys?.size === 0) this.#keys.delete(value);
    }
    for (const value of after) {
      const keys = this.#keys.get(value);
      if (keys) keys.add(key);
      else this.#keys.set(value, new Set([key]));
    }
  }
}
