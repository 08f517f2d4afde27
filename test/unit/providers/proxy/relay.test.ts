import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Buffers } from '#providers/proxy/buffers';
import { dial, type Dialed } from '#providers/proxy/dial';
import { relay } from '#providers/proxy/relay';
import { Cleanup, NODE_PORT, dialClient, loopback, startNode, until } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Pair {
  /** What the proxy has of it. */
  readonly accepted: Socket;
  readonly client: Socket;
}

async function connections(count: number): Promise<readonly Pair[]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const host = loopback();
  server.listen({ host, port: NODE_PORT });
  await once(server, 'listening');
  cleanup.add(() => new Promise((resolve) => server.close(resolve)));
  const pairs: Pair[] = [];
  while (pairs.length < count) {
    const waiting = once(server, 'connection');
    const client = await dialClient(host, NODE_PORT, cleanup);
    const [accepted] = await waiting;
    accepted.on('error', () => {});
    cleanup.add(() => accepted.destroy());
    pairs.push({ accepted, client });
  }
  return pairs;
}

async function dialed(host: string, buffers: Buffers): Promise<Dialed> {
  const { signal } = new AbortController();
  const target = await dial({ host, port: NODE_PORT, timeoutMs: 30_000, signal, buffers });
  if ('error' in target) throw target.error;
  cleanup.add(() => target.socket.destroy());
  return target;
}

describe('a relay whose client has gone before it began', () => {
  it('ends at once, and lets go of the target', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: (socket) => socket.resume() });
    const [pair] = await connections(1);
    if (!pair) throw new Error('nobody connected');
    const target = await dialed(node.address, new Buffers());
    // Everything about the client is told now; nothing more will come.
    await new Promise((resolve) => {
      pair.accepted.once('close', resolve);
      pair.accepted.destroy(new Error('reset by the client'));
    });
    expect(await relay({ client: pair.accepted, target, onBytes: () => {} })).toBe('reset');
    expect(target.socket.destroyed).toBe(true);
    await until(() => node.sockets.size === 0, 'the node is rid of it, too');
  });
});

describe('clients that do not read', () => {
  const CLIENTS = 12;
  const BLOCKS = 3;
  const KIB = 1_024;
  /** More than the kernel takes for one connection. */
  const ANSWER = Buffer.alloc(16 * KIB * KIB, 'an answer of some length; ');

  it('keep a limited amount of memory from the others, give it back, and lose nothing', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: (socket) => socket.end(ANSWER) });
    const pairs = await connections(CLIENTS);
    const buffers = new Buffers(BLOCKS);
    const ends: Promise<string>[] = [];
    for (const { accepted, client } of pairs) {
      client.pause();
      const target = await dialed(node.address, buffers);
      ends.push(relay({ client: accepted, target, onBytes: () => {} }));
    }
    await until(() => pairs.every(({ accepted }) => accepted.writableLength > 0), 'all of them hold up their node');
    const held = pairs.reduce((sum, { accepted }) => sum + accepted.writableLength, 0);
    expect(held).toBeLessThanOrEqual((BLOCKS * 256 + CLIENTS * 64) * KIB);

    for (const { client } of pairs) {
      const chunks: Buffer[] = [];
      client.on('data', (chunk: Buffer) => chunks.push(chunk));
      client.resume();
      await once(client, 'end');
      expect(Buffer.concat(chunks).equals(ANSWER)).toBe(true);
      client.end();
    }
    expect(new Set(await Promise.all(ends))).toEqual(new Set(['closed']));
    for (let block = 0; block < BLOCKS; block++) expect(buffers.take(), `block ${block + 1} was given back`).toBe(true);
    expect(buffers.take()).toBe(false);
  });
});
