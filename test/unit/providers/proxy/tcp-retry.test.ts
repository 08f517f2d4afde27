import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import {
  Cleanup,
  NODE_PORT,
  ask,
  dialClient,
  endOf,
  fateOf,
  metric,
  nodesOf,
  readAll,
  startNode,
  startWorld,
  type World,
} from './rig.ts';
import { startSilentNode } from './silent-node.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function balance(
  nodes: readonly { readonly name: string; readonly address: string }[],
  raw: Readonly<Record<string, unknown>> = {},
): Promise<World> {
  // No health checks: what the connections themselves tell is what matters here.
  const world = startWorld(cleanup, { 'proxy-health-port': 0, ...raw });
  await world.reconcile(
    desiredLoadBalancer({
      members: [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }] })],
      nodes: nodesOf(nodes),
    }),
  );
  return world;
}

describe('a connection that fails before its first byte', () => {
  it('goes to another node when one refuses it, and the client does not notice', async () => {
    const broken = await startNode(cleanup, 'node-1', { serve: undefined });
    const good = await startNode(cleanup, 'node-2');
    // As long as this is a node that failed avoided.
    const world = await balance([broken, good], { 'proxy-health-interval': 60_000 });
    for (let count = 0; count < 8; count++) expect(await ask(world.pool[0] ?? '', 8_080, cleanup)).toBe('node-2');
    expect(await metric(world.registry, 'ballast_proxy_retries_total', { port: '8080' })).toBe(3);
    const failed = { node: 'node-1', result: 'failed' };
    expect(await metric(world.registry, 'ballast_proxy_target_connections_total', failed)).toBe(3);
  });

  it('goes to another node when one does not answer', async () => {
    const cutOff = await startSilentNode(cleanup, 'node-1');
    const good = await startNode(cleanup, 'node-2');
    const world = await balance([cutOff, good], { 'proxy-connect-timeout': 500 });
    for (let count = 0; count < 4; count++) expect(await ask(world.pool[0] ?? '', 8_080, cleanup)).toBe('node-2');
  });

  it('goes to another node when one resets it while the client has said nothing', async () => {
    const broken = await startNode(cleanup, 'node-1', { serve: (socket) => socket.resetAndDestroy() });
    const good = await startNode(cleanup, 'node-2');
    const world = await balance([broken, good]);
    for (let count = 0; count < 4; count++) expect(await ask(world.pool[0] ?? '', 8_080, cleanup)).toBe('node-2');
    expect(broken.accepted).toBeGreaterThan(0);
  });

  it('keeps what the client said early for the node that can hear it', async () => {
    const broken = await startNode(cleanup, 'node-1', { serve: undefined });
    const good = await startNode(cleanup, 'node-2', { serve: (socket) => socket.pipe(socket) });
    const world = await balance([broken, good]);
    for (let count = 0; count < 4; count++) {
      const client = await dialClient(world.pool[0] ?? '', 8_080, cleanup);
      client.end('said before anything was connected');
      expect(await readAll(client)).toBe('said before anything was connected');
    }
  });

  it('is not sent twice: once a node had a byte of the client’s, its failure is the client’s to know', async () => {
    const heard: string[] = [];
    const serve = (socket: Socket): void => {
      socket.once('data', (data: Buffer) => {
        heard.push(data.toString());
        socket.resetAndDestroy();
      });
    };
    const nodes = [await startNode(cleanup, 'node-1', { serve }), await startNode(cleanup, 'node-2', { serve })];
    const world = await balance(nodes);
    const client = await dialClient(world.pool[0] ?? '', 8_080, cleanup);
    const end = endOf(client);
    client.write('pay 10');
    expect(await end).toBe('ECONNRESET');
    expect(heard).toEqual(['pay 10']);
    expect((nodes[0]?.accepted ?? 0) + (nodes[1]?.accepted ?? 0)).toBe(1);
  });

  it('passes on a target that ends politely without a word, for that is an answer', async () => {
    const polite = await startNode(cleanup, 'node-1', { serve: (socket) => socket.end() });
    const other = await startNode(cleanup, 'node-2', { serve: (socket) => socket.end() });
    const world = await balance([polite, other]);
    expect(await ask(world.pool[0] ?? '', 8_080, cleanup)).toBe('');
    expect(polite.accepted + other.accepted).toBe(1);
  });

  it('is reset after as many attempts as are allowed', async () => {
    const nodes = await Promise.all(
      ['node-1', 'node-2', 'node-3', 'node-4'].map((name) => startNode(cleanup, name, { serve: undefined })),
    );
    const world = await balance(nodes, { 'proxy-connect-attempts': 3 });
    expect(await fateOf(world.pool[0] ?? '', 8_080, cleanup)).toBe('ECONNRESET');
    expect(await metric(world.registry, 'ballast_proxy_retries_total', { port: '8080' })).toBe(2);
    expect(await metric(world.registry, 'ballast_proxy_connections_total', { result: 'no-target' })).toBe(1);
  });

  it('works again as soon as the node does', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: undefined });
    const world = await balance([node], { 'proxy-connect-attempts': 1 });
    for (let count = 0; count < 5; count++) {
      expect(await fateOf(world.pool[0] ?? '', 8_080, cleanup)).toBe('ECONNRESET');
    }
    const server = createServer((socket) => socket.end('back'));
    server.listen(NODE_PORT, node.address);
    await once(server, 'listening');
    cleanup.add(() => server.close());
    expect(await ask(world.pool[0] ?? '', 8_080, cleanup)).toBe('back');
  });
});
