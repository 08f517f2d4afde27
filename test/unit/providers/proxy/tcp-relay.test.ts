import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import type { MemberSettings } from '#src/loadbalancer/model';
import {
  Cleanup,
  NODE_PORT,
  ask,
  dialClient,
  endOf,
  metric,
  nodesOf,
  readAll,
  startNode,
  startWorld,
  until,
  type FakeNode,
  type World,
} from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Path {
  readonly world: World;
  readonly node: FakeNode;
  readonly address: string;
  readonly connect: () => Promise<Socket>;
}

/** One node that serves like this, behind the load balancer. */
async function path(serve: (socket: Socket) => void, settings: MemberSettings = {}): Promise<Path> {
  const node = await startNode(cleanup, 'node-1', { serve });
  const world = startWorld(cleanup);
  const [address = ''] = world.pool;
  await world.reconcile(
    desiredLoadBalancer({
      members: [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }], settings })],
      nodes: nodesOf([node]),
    }),
  );
  return { world, node, address, connect: () => dialClient(address, 8_080, cleanup) };
}

describe('a TCP connection', () => {
  it('carries what both sides say, and tells each when the other has finished', async () => {
    const { connect } = await path((socket) => {
      void readAll(socket).then((heard) => socket.end(`heard ${heard}`));
    });
    const client = await connect();
    client.write('hello ');
    client.end('world');
    expect(await readAll(client)).toBe('heard hello world');
  });

  it('stays open for the client after the target has finished', async () => {
    let heard: Promise<string> | undefined;
    const { connect } = await path((socket) => {
      heard = readAll(socket);
      socket.end('first');
    });
    const client = await connect();
    expect(await readAll(client)).toBe('first');
    client.end('then');
    expect(await heard).toBe('then');
  });

  it('carries megabytes both ways at once, unchanged', async () => {
    const { connect } = await path((socket) => socket.pipe(socket));
    const client = await connect();
    const sent = Buffer.alloc(5_000_000, 'ballast');
    const received: Buffer[] = [];
    client.on('data', (chunk: Buffer) => received.push(chunk));
    client.end(sent);
    await once(client, 'end');
    expect(Buffer.concat(received).equals(sent)).toBe(true);
  });

  it('mixes nothing up when many carry megabytes at once and their clients read in fits and starts', async () => {
    let served = 0;
    const { connect } = await path((socket) => {
      socket.end(Buffer.alloc(10_000_000, `connection ${served++} `));
    });
    const heard = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const client = await connect();
        const pauses = setInterval(() => (client.isPaused() ? client.resume() : client.pause()), 5);
        cleanup.add(() => clearInterval(pauses));
        const all = await readAll(client);
        client.end();
        return all;
      }),
    );
    const sent = Array.from({ length: 3 }, (_, index) => Buffer.alloc(10_000_000, `connection ${index} `).toString());
    // Compared without a matcher: a difference of megabytes would be printed.
    expect(heard.toSorted().map((all, index) => all === sent[index])).toEqual(sent.map(() => true));
  });

  it('is reset for the target when the client resets it', async () => {
    let end: Promise<string> | undefined;
    const { connect, world } = await path((socket) => {
      end = endOf(socket);
      socket.write('hi');
    });
    const client = await connect();
    await once(client, 'data');
    client.resetAndDestroy();
    await until(() => end !== undefined, 'the target has the connection');
    expect(await end).toBe('ECONNRESET');
    await until(
      async () => (await metric(world.registry, 'ballast_proxy_connections_total', { result: 'reset' })) === 1,
      'the reset is counted',
    );
  });

  it('is reset for the client when the target resets it', async () => {
    const { connect } = await path((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const client = await connect();
    const end = endOf(client);
    client.write('hi');
    expect(await end).toBe('ECONNRESET');
  });

  it('is reset for both sides when it was silent for too long', async () => {
    let end: Promise<string> | undefined;
    const { connect } = await path(
      (socket) => {
        end = endOf(socket);
        socket.write('hi');
      },
      { idleTimeoutSeconds: 1 },
    );
    const began = performance.now();
    expect(await endOf(await connect())).toBe('ECONNRESET');
    expect(await end).toBe('ECONNRESET');
    expect(performance.now() - began).toBeGreaterThan(950);
  });

  it('is not idle as long as either side says something', async () => {
    const { connect } = await path(
      (socket) => {
        let count = 0;
        const timer = setInterval(() => {
          socket.write('.');
          if (++count < 18) return;
          clearInterval(timer);
          socket.end();
        }, 250);
      },
      // Well above the pauses that a busy machine makes by itself.
      { idleTimeoutSeconds: 4 },
    );
    expect(await readAll(await connect())).toBe('.'.repeat(18));
  });

  for (const slow of ['client', 'target'] as const) {
    it(`makes the sender wait for a ${slow} that does not read`, async () => {
      const chunk = Buffer.alloc(65_536);
      let target: Socket | undefined;
      const { connect, world } = await path((socket) => (target = socket));
      const client = await connect();
      client.pause();
      await until(() => target !== undefined, 'the target has the connection');
      const sender = slow === 'client' ? target : client;
      if (slow === 'target') target?.pause();
      for (let count = 0; count < 1_024; count++) sender?.write(chunk);
      sender?.end();
      const direction = slow === 'client' ? 'out' : 'in';
      const passed = (): Promise<number | undefined> =>
        metric(world.registry, 'ballast_proxy_bytes_total', { direction });
      await until(async () => {
        const before = await passed();
        await new Promise((resolve) => setTimeout(resolve, 100));
        return before !== undefined && before > 0 && (await passed()) === before;
      }, 'the sender has to wait');
      // The kernel's buffers hold a few megabytes; the proxy adds next to nothing.
      expect(await passed()).toBeLessThan(16 * 1_048_576);

      // And once it reads, everything comes.
      const receiver = slow === 'client' ? client : target;
      let received = 0;
      receiver?.on('data', (data: Buffer) => (received += data.length));
      receiver?.resume();
      await once(receiver ?? client, 'end');
      expect(received).toBe(1_024 * chunk.length);
    });
  }

  it('leaves nothing behind when it has ended', async () => {
    const { world, node, address } = await path((socket) => socket.end('bye'));
    for (let count = 0; count < 20; count++) expect(await ask(address, 8_080, cleanup)).toBe('bye');
    await until(() => node.sockets.size === 0, 'the node has no connection');
    await until(
      async () => (await metric(world.registry, 'ballast_proxy_connections_total', { result: 'closed' })) === 20,
      'every connection has ended',
    );
    expect(await metric(world.registry, 'ballast_proxy_active_connections', { port: '8080' })).toBe(0);
    expect(await metric(world.registry, 'ballast_proxy_bytes_total', { direction: 'out' })).toBe(60);
  });
});
