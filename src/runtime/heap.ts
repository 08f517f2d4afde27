interface Entry<Key> {
  readonly key: Key;
  /** When the key is due, on the caller's clock. */
  at: number;
  /** Order of arrival, so that keys due at the same time leave in the order they came. */
  readonly turn: number;
  /** Where the entry sits in the array. */
  index: number;
}

/**
 * A binary min-heap of keys by due time, each key at most once. The earliest due time of a key wins, as in client-go's
 * delaying queue; every operation is logarithmic, and nothing stale stays inside.
 */
export class DeadlineHeap<Key> {
  readonly #entries: Entry<Key>[] = [];
  readonly #byKey = new Map<Key, Entry<Key>>();
  #turns = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** When the next key is due; undefined when there is none. */
  get nextAt(): number | undefined {
    return this.#entries[0]?.at;
  }

  /** Puts the key in, or moves it forward when `at` is earlier than what it has. */
  add(key: Key, at: number): void {
    const known = this.#byKey.get(key);
    if (known) {
      if (at >= known.at) return;
      known.at = at;
      this.#rise(known);
      return;
    }
    const entry: Entry<Key> = { key, at, turn: this.#turns++, index: this.#entries.length };
    this.#entries.push(entry);
    this.#byKey.set(key, entry);
    this.#rise(entry);
  }

  /** Takes out one key that is due at `now` or before, the earliest first; undefined when none is. */
  takeDue(now: number): Key | undefined {
    const first = this.#entries[0];
    if (!first || first.at > now) return undefined;
    this.#byKey.delete(first.key);
    const last = this.#entries.pop();
    if (last && last !== first) {
      this.#put(last, 0);
      this.#sink(last);
    }
    return first.key;
  }

  clear(): void {
    this.#entries.length = 0;
    this.#byKey.clear();
  }

  #rise(entry: Entry<Key>): void {
    while (entry.index > 0) {
      const parent = this.#entries[(entry.index - 1) >> 1];
      if (!parent || !isBefore(entry, parent)) return;
      this.#swap(entry, parent);
    }
  }

  #sink(entry: Entry<Key>): void {
    for (;;) {
      const left = this.#entries[2 * entry.index + 1];
      const right = this.#entries[2 * entry.index + 2];
      const child = left && right && isBefore(right, left) ? right : left;
      if (!child || !isBefore(child, entry)) return;
      this.#swap(entry, child);
    }
  }

  #swap(a: Entry<Key>, b: Entry<Key>): void {
    const index = a.index;
    this.#put(a, b.index);
    this.#put(b, index);
  }

  #put(entry: Entry<Key>, index: number): void {
    this.#entries[index] = entry;
    entry.index = index;
  }
}

function isBefore<Key>(a: Entry<Key>, b: Entry<Key>): boolean {
  return a.at < b.at || (a.at === b.at && a.turn < b.turn);
}
