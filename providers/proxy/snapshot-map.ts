/** What can be read of a `SnapshotMap` as it was. */
export interface Snapshot<V> {
  get(key: string): V | undefined;
}

/** Enough that one holds a handful of ten thousand keys, and few enough that copying the list of them costs nothing. */
const BUCKETS = 512;

/**
 * A map of which pictures can be taken that later changes leave as they are. A picture costs nothing, and the first
 * change of a key after one costs a copy of the few entries beside it, however large the map is.
 */
export class SnapshotMap<V> {
  #buckets: Map<string, V>[] = Array.from({ length: BUCKETS }, () => new Map<string, V>());
  /** The buckets that were copied since the last picture, and are in none. */
  readonly #own = new Set<number>();
  #last: Snapshot<V> | undefined;

  get(key: string): V | undefined {
    return this.#buckets[bucketOf(key)]?.get(key);
  }

  set(key: string, value: V): void {
    this.#writable(key).set(key, value);
  }

  delete(key: string): void {
    this.#writable(key).delete(key);
  }

  /** The same one again while nothing changes. */
  snapshot(): Snapshot<V> {
    if (!this.#last) {
      const buckets = this.#buckets;
      this.#own.clear();
      this.#last = { get: (key) => buckets[bucketOf(key)]?.get(key) };
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

/** FNV-1a. */
function bucketOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0) % BUCKETS;
}
