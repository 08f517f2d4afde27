import type { Cut } from './fault.ts';

/** Finds the byte of a stream after which it is to be cut, however the stream comes in chunks. */
export class ByteCutter {
  readonly #marker: Buffer;
  /** The last bytes seen, fewer than the marker has; undefined once it was found. */
  #tail: Buffer | undefined;
  #left: number;

  constructor({ afterBytes, from = '' }: Pick<Cut, 'afterBytes' | 'from'>) {
    this.#marker = Buffer.from(from);
    this.#tail = this.#marker.length === 0 ? undefined : Buffer.alloc(0);
    this.#left = afterBytes;
  }

  /** Nothing more may pass. */
  get isDue(): boolean {
    return this.#tail === undefined && this.#left === 0;
  }

  /** The part of the chunk that may pass. */
  take(chunk: Buffer): Buffer {
    const start = this.#tail === undefined ? 0 : this.#find(this.#tail, chunk);
    if (start === undefined) return chunk;
    const end = Math.min(chunk.length, start + this.#left);
    this.#left -= end - start;
    return chunk.subarray(0, end);
  }

  /** Where in the chunk the marker ends; undefined while it has not come. */
  #find(tail: Buffer, chunk: Buffer): number | undefined {
    const seen = Buffer.concat([tail, chunk]);
    const at = seen.indexOf(this.#marker);
    if (at === -1) {
      this.#tail = seen.subarray(Math.max(0, seen.length - this.#marker.length + 1));
      return undefined;
    }
    this.#tail = undefined;
    return at + this.#marker.length - tail.length;
  }
}
