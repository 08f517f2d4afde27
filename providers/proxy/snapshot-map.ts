/** A `SnapshotMap` as it was: values only, to be read with `lookUp`. */
export interface Snapshot<V> {
  readonly buckets: readonly ReadonlyMap<string, V>[];
}

/** Enough that one holds some dozens of ten thousand keys, and few enough that copying the list of them costs nothing. */
const BUCKETS = 128;

/**
 * A map of which pictures can be taken that later changes leave as they are. A picture costs nothing, and the first
 * change of a key after one costs a copy of the few entries beside it, however large the map is.
 */
export class SnapshotMap<V> {
  #buckets: Map<string, V>[] = Array.from({ length: BUCKETS }, () => new Map<string, V>());
  /** The buckets that were copied since the last picture, and are in none. */
  readonly #own = new Set<number>();
  #last: Snapshot<V> | undefined;

  set(key: string, value: V): void {
    this.#writable(key).set(key, value);
  }

  delete(key: string): void {
    this.#writable(key).delete(key);
  }

  /** The same one again while nothing changes. */
  snapshot(): Snapshot<V> {
    if (!this.#last) {
      this.#own.clear();
      this.#last = { buckets: this.#buckets };
    }
    return this.#last;
  }

  #writable(key: string): Map<string, V> {
    if (this.#last) {
      this.#buckets = [...this.#buckets];
      this.#last = undefined;
    }
    const index = bucketOf(key);
    const bucket = this.#buckets[index] ?? new Map<string, V>();
    if (this.#own.has(index)) return bucket;
    const copy = new Map(bucket);
    this.#buckets[index] = copy;
    this.#own.add(index);
    return copy;
  }
}

/** What the key had when the picture was taken; undefined for nothing. */
export function lookUp<V>(snapshot: Snapshot<V>, key: string): V | undefined {
  return snapshot.buckets[bucketOf(key)]?.get(key);
}

/** FNV-1a. */
function bucketOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0) % BUCKETS;
}
