/**
 * First in, first out, both in constant time on average and without keeping what has left: two stacks, the second
 * filled by turning the first over whenever it runs empty. (`Array.shift` moves every element; a `Set` read from the
 * front walks over its deleted entries.)
 */
export class Fifo<T> {
  #incoming: T[] = [];
  #outgoing: T[] = [];

  get size(): number {
    return this.#incoming.length + this.#outgoing.length;
  }

  push(item: T): void {
    this.#incoming.push(item);
  }

  /** The oldest item, or undefined when there is none. */
  shift(): T | undefined {
    if (this.#outgoing.length === 0) {
      this.#outgoing = this.#incoming.toReversed();
      this.#incoming = [];
    }
    return this.#outgoing.pop();
  }
}
