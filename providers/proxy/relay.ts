import type { Socket } from 'node:net';
import { resetSocket } from './socket-reset.ts';

/**
 * How a relay ended: both sides said so; one reset it; or the target failed before it was of any use, so that the
 * client, left paused, can be given another.
 */
export type RelayEnd = 'closed' | 'reset' | 'unused';

export interface RelayOptions {
  readonly client: Socket;
  readonly target: Socket;
  /** Called with each chunk's size as it is passed on. */
  readonly onBytes: (direction: 'in' | 'out', count: number) => void;
}

const NOTHING = Buffer.alloc(0);

/**
 * Passes bytes both ways until both sides have ended. Each side is read only as fast as the other takes it; the end of
 * one direction is passed on while the other goes on; a reset of one side resets the other.
 *
 * A target that fails is `unused` as long as not one byte of the client's was handed to it and none came from it. What
 * was handed over may have been acted upon, so it is never sent a second time.
 */
export function relay({ client, target, onBytes }: RelayOptions): Promise<RelayEnd> {
  return new Promise((resolve) => {
    let used = false;
    const finish = (end: RelayEnd): void => {
      stopIn();
      stopOut();
      client.off('error', onClientError);
      target.off('error', onTargetError);
      resolve(end);
    };
    const use = (direction: 'in' | 'out', count: number): void => {
      used = true;
      onBytes(direction, count);
    };
    const onClientError = (): void => {
      resetSocket(target);
      finish('reset');
    };
    const onTargetError = (): void => {
      if (used) resetSocket(client);
      else client.pause();
      finish(used ? 'reset' : 'unused');
    };
    client.on('error', onClientError);
    target.on('error', onTargetError);
    const stopIn = pump(client, target, (count) => use('in', count), finish);
    const stopOut = pump(target, client, (count) => use('out', count), finish);
    if (target.destroyed) {
      finish('unused');
      return;
    }
    target.resume();
    client.resume();
  });
}

/** One direction. `use` gets each chunk's size, and 0 for the end. Returns what detaches it. */
function pump(source: Socket, sink: Socket, use: (count: number) => void, finish: (end: RelayEnd) => void): () => void {
  const onData = (chunk: Buffer): void => {
    use(chunk.length);
    if (!sink.write(chunk)) source.pause();
  };
  const onDrain = (): void => {
    source.resume();
  };
  const onEnd = (): void => {
    use(0);
    // Only when everything before it is written: see resetSocket.
    if (sink.writableLength === 0) sink.end();
    else sink.write(NOTHING, () => sink.end());
  };
  const onClose = (): void => {
    if (sink.destroyed) finish('closed');
  };
  source.on('data', onData);
  source.on('end', onEnd);
  source.on('close', onClose);
  sink.on('drain', onDrain);
  return () => {
    source.off('data', onData);
    source.off('end', onEnd);
    source.off('close', onClose);
    sink.off('drain', onDrain);
  };
}
