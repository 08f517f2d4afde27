import type { Socket } from 'node:net';

/** Bytes that one read may bring: four times Node's own, for a quarter of the system calls. */
const READ_BYTES = 256 * 1024;

/** What is smaller is copied into memory of its own size, which costs less than keeping track of a block. */
const SMALL_BYTES = 32 * 1024;

/** Blocks kept for later: 8 MiB, whatever the number of connections was at its peak. */
const MOST_SPARE = 32;

/**
 * The memory through which everything from the targets passes. All connections are read into one buffer, which works
 * because each read is handled before the next; what it brought is copied for the write, which may take longer. An
 * idle connection thus holds no memory here, and a fast one needs no new memory for every read.
 */
export class Buffers {
  /** Read into this. */
  readonly read: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #spare: Buffer[] = [];

  /** Writes a copy of `bytes`; false when the socket has enough to do until it drains. */
  write(sink: Socket, bytes: Buffer): boolean {
    if (bytes.length <= SMALL_BYTES) return sink.write(Buffer.from(bytes));
    const block = this.#spare.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);
    bytes.copy(block);
    return sink.write(block.subarray(0, bytes.length), () => {
      if (this.#spare.length < MOST_SPARE) this.#spare.push(block);
    });
  }
}
