import { connect, type Socket } from 'node:net';
import type { Buffers, TargetReader } from './buffers.ts';
import { faultOf } from './local-fault.ts';

/** Silence after which the kernel asks whether the other side is still there. */
export const KEEP_ALIVE_MS = 30_000;

/** A connection to a target. */
export interface Dialed {
  readonly socket: Socket;
  /**
   * Gets what was read while the socket is not paused; the bytes are there only during the call. Returning false stops
   * the reading until `socket.resume()`.
   */
  onBytes: (bytes: Buffer) => boolean;
  /** Passes on what was read. */
  readonly reader: TargetReader;
}

/** Why no connection was made, and whose fault that is. */
export interface DialFailure {
  readonly error: NodeJS.ErrnoException;
  readonly fault: ReturnType<typeof faultOf>;
}

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** What is read goes there first. */
  readonly buffers: Buffers;
}

/** Connects; never rejects. The socket is not read until it is resumed; its errors do no harm. */
export function dial({ host, port, timeoutMs, signal, buffers }: DialOptions): Promise<Dialed | DialFailure> {
  return new Promise((resolve) => {
    const reader = buffers.reader();
    const socket = connect({
      host,
      port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      onread: {
        buffer: () => reader.next(),
        callback: (count) => dialed.onBytes(reader.took(count)),
      },
    });
    socket.on('close', () => reader.close());
    socket.pause();
    const dialed: Dialed = { socket, reader, onBytes: () => false };
    const fail = (error: NodeJS.ErrnoException): void => {
      finish();
      socket.destroy();
      resolve({ error, fault: faultOf(error) });
    };
    const onAbort = (): void => fail(new Error('no longer wanted'));
    const timer = setTimeout(() => fail(new Error(`no connection after ${timeoutMs} ms`)), timeoutMs);
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('error', fail);
    };
    socket.on('error', () => {});
    socket.on('error', fail);
    socket.once('connect', () => {
      finish();
      resolve(dialed);
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
