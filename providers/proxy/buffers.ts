import type { Socket } from 'node:net';

/** Bytes that one read may bring: four times Node's own, for a quarter of the system calls. */
const BLOCK_BYTES = 256 * 1024;

/** What a connection reads at once as long as little comes. It is copied into memory of its own size. */
const SMALL_BYTES = 64 * 1024;

/** Blocks kept for later: 8 MiB, whatever the number of connections was at its peak. */
const MOST_SPARE = 32;

const NOTHING = Buffer.alloc(0);

/**
 * The memory through which everything from the targets passes. All connections are read into one buffer, which works
 * because each read is handled before the next; what it brought is copied for the write, which may take longer.
 *
 * A connection reads little at a time until much comes, and then a block at a time, if one of `mostBlocks` is left. As
 * it is not read while something of it waits for the client, all of them together hold no more than these blocks, 64 MiB
 * by default, and 64 KiB for each connection whose client is slow.
 */
export class Buffers {
  readonly large: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  readonly small: Buffer = this.large.subarray(0, SMALL_BYTES);
  readonly #spare: Buffer[] = [];
  #left: number;

  constructor(mostBlocks: number = 256) {
    this.#left = mostBlocks;
  }

  /** For one more connection to a target. */
  reader(): TargetReader {
    return new TargetReader(this);
  }

  /** Takes the right to one block; false when none is left. */
  take(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }

  giveBack(): void {
    this.#left++;
  }

  block(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  keep(block: Buffer): void {
    if (this.#spare.length < MOST_SPARE) this.#spare.push(block);
  }
}

/** What one connection to a target reads into, and how that is passed on. */
export class TargetReader {
  readonly #buffers: Buffers;
  #view: Buffer = NOTHING;
  #hasBlock = false;
  #isWriting = false;
  #isClosed = false;
  #isBusy = false;

  constructor(buffers: Buffers) {
    this.#buffers = buffers;
  }

  /** What the next read goes into. */
  next(): Buffer {
    const { large, small } = this.#buffers;
    if (this.#isBusy || this.#isWriting) this.#hasBlock ||= this.#buffers.take();
    else this.#giveBack();
    this.#view = this.#hasBlock ? large : small;
    return this.#view;
  }

  /** What a read has brought; good until the next one of any connection. */
  took(count: number): Buffer {
    return this.#view.subarray(0, count);
  }

  /**
   * Writes a copy of what was read. False when the sink cannot take all of it at once: nothing more is to be read until
   * `onWritten` is called.
   */
  write(sink: Socket, bytes: Buffer, onWritten: () => void): boolean {
    // All that a small read can bring: there is more where that came from.
    this.#isBusy = bytes.length >= SMALL_BYTES;
    if (bytes.length <= SMALL_BYTES) {
      sink.write(Buffer.from(bytes));
      if (sink.writableLength === 0) return true;
      sink.write(NOTHING, onWritten);
      return false;
    }
    const block = this.#buffers.block();
    bytes.copy(block);
    let isWaiting = false;
    sink.write(block.subarray(0, bytes.length), () => {
      this.#buffers.keep(block);
      if (!isWaiting) return;
      this.#isWriting = false;
      if (this.#isClosed) this.#giveBack();
      onWritten();
    });
    isWaiting = sink.writableLength > 0;
    this.#isWriting = isWaiting;
    return !isWaiting;
  }

  /** Nothing is read any more. */
  close(): void {
    this.#isClosed = true;
    this.#giveBack();
  }

  #giveBack(): void {
    if (!this.#hasBlock || this.#isWriting) return;
    this.#hasBlock = false;
    this.#buffers.giveBack();
  }
}
