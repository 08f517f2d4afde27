import type { Socket } from 'node:net';
import type { Dialed } from './dial.ts';
import { resetSocket } from './socket-reset.ts';

/**
 * How a relay ended: both sides said so; one reset it; or the target failed before it was of any use, so that the
 * client, left paused, can be given another.
 */
export type RelayEnd = 'closed' | 'reset' | 'unused';

export interface RelayOptions {
  readonly client: Socket;
  readonly target: Dialed;
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
export function relay({ client, target: dialed, onBytes }: RelayOptions): Promise<RelayEnd> {
  const target = dialed.socket;
  return new Promise((resolve) => {
    let used = false;
    const finish = (end: RelayEnd): void => {
      stopIn();
      stopOut();
      client.off('data', onClientData);
      dialed.onBytes = () => false;
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
    const onClientData = (chunk: Buffer): void => {
      use('in', chunk.length);
      if (!target.write(chunk)) client.pause();
    };
    client.on('data', onClientData);
    const onWritten = (): void => {
      target.resume();
    };
    dialed.onBytes = (bytes) => {
      use('out', bytes.length);
      return dialed.reader.write(client, bytes, onWritten);
    };
    const stopIn = passEnd(client, target, () => use('in', 0), finish);
    const stopOut = passEnd(target, client, () => use('out', 0), finish);
    if (client.destroyed) {
      // Its error was told before this began.
      onClientError();
      return;
    }
    if (target.destroyed) {
      finish('unused');
      return;
    }
    target.resume();
    client.resume();
  });
}

/** One direction: goes on when the sink has room again, and passes the end on. Returns what detaches it. */
function passEnd(source: Socket, sink: Socket, use: () => void, finish: (end: RelayEnd) => void): () => void {
  const onDrain = (): void => {
    source.resume();
  };
  const onEnd = (): void => {
    use();
    // Only when everything before it is written: see resetSocket.
    if (sink.writableLength === 0) sink.end();
    else sink.write(NOTHING, () => sink.end());
  };
  const onClose = (): void => {
    if (sink.destroyed) finish('closed');
  };
  source.on('end', onEnd);
  source.on('close', onClose);
  sink.on('drain', onDrain);
  return () => {
    source.off('end', onEnd);
    source.off('close', onClose);
    sink.off('drain', onDrain);
  };
}
