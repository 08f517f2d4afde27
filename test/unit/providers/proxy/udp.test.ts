import { afterEach, describe, expect, it } from 'vitest';
import { Cleanup, loopback, metric, startWorld, until, type World } from './rig.ts';
import { bindEcho, bindUdp, dns, type UdpEnd } from './udp-rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PORT = 5_353;
/** Well above the pauses that a busy machine makes by itself. */
const IDLE_SECONDS = 4;

/** Nodes by name; where no NodePort listens, the kernel refuses. */
function named(...names: readonly string[]): readonly { readonly name: string; readonly address: string }[] {
  return names.map((name) => ({ name, address: loopback() }));
}

async function echoes(nodes: ReturnType<typeof named>): Promise<readonly UdpEnd[]> {
  return Promise.all(nodes.map(({ name, address }) => bindEcho(cleanup, name, address)));
}

function world(raw: Readonly<Record<string, unknown>> = {}): World {
  return startWorld(cleanup, { 'proxy-health-port': 0, ...raw });
}

const sessions = (world: World): Promise<number | undefined> =>
  metric(world.registry, 'ballast_proxy_active_connections', { protocol: 'UDP' });

describe('a UDP session', () => {
  it('goes to one node, whose replies come from the address that the client asked', async () => {
    const nodes = named('node-1', 'node-2');
    await echoes(nodes);
    const lb = world();
    await lb.reconcile(dns(nodes));
    const [address = ''] = lb.pool;
    const client = await bindUdp(cleanup, '127.0.0.1');
    client.send('one', address, PORT);
    const first = await client.next();
    client.send('two', address, PORT);
    const second = await client.next();
    expect(first).toMatch(/^node-\d heard one$/);
    expect(second).toBe(first.replace('one', 'two'));
    expect(client.senders.every((from) => from.address === address && from.port === PORT)).toBe(true);
  });

  it('is one for each client, and they are spread over the nodes', async () => {
    const nodes = named('node-1', 'node-2');
    const ends = await echoes(nodes);
    const lb = world();
    await lb.reconcile(dns(nodes));
    for (let count = 0; count < 4; count++) {
      const client = await bindUdp(cleanup, '127.0.0.1');
      client.send('hello', lb.pool[0] ?? '', PORT);
      await client.next();
    }
    expect(ends.map(({ received }) => received.length)).toEqual([2, 2]);
    expect(await sessions(lb)).toBe(4);
  });

  it('carries what is never answered', async () => {
    const nodes = named('node-1');
    const [address = ''] = nodes.map((node) => node.address);
    const sink = await bindUdp(cleanup, address, 30_080);
    const lb = world();
    await lb.reconcile(dns(nodes));
    const client = await bindUdp(cleanup, '127.0.0.1');
    for (const text of ['a', 'b', 'c']) client.send(text, lb.pool[0] ?? '', PORT);
    await until(() => sink.received.length === 3, 'everything has come');
    expect(sink.received).toEqual(['a', 'b', 'c']);
  });

  it('loses not even the first datagram to a node that refuses it', async () => {
    const nodes = named('node-1', 'node-2', 'node-3');
    await echoes(nodes.slice(2));
    const lb = world();
    await lb.reconcile(dns(nodes));
    for (let count = 0; count < 6; count++) {
      const client = await bindUdp(cleanup, '127.0.0.1');
      client.send('hello', lb.pool[0] ?? '', PORT);
      expect(await client.next()).toBe('node-3 heard hello');
    }
  });

  it('loses at most one of the datagrams that come at once to a node that refuses them', async () => {
    const nodes = named('node-1', 'node-2');
    await echoes(nodes.slice(1));
    const lb = world();
    await lb.reconcile(dns(nodes));
    for (let count = 0; count < 6; count++) {
      const client = await bindUdp(cleanup, '127.0.0.1');
      for (const text of ['a', 'b']) client.send(text, lb.pool[0] ?? '', PORT);
      await until(() => client.received.includes('node-2 heard b'), 'the second is answered');
      expect(client.received.every((answer) => answer.startsWith('node-2'))).toBe(true);
    }
  });

  it('moves when what answered refuses, and comes back to life when anything does again', async () => {
    const nodes = named('node-1', 'node-2');
    const [first, second] = await echoes(nodes);
    const lb = world();
    await lb.reconcile(dns(nodes));
    const client = await bindUdp(cleanup, '127.0.0.1');
    client.send('one', lb.pool[0] ?? '', PORT);
    const used = (await client.next()).startsWith('node-1') ? first : second;
    used?.socket.close();
    let answer = '';
    for (let tries = 0; tries < 10 && answer === ''; tries++) {
      client.send('again', lb.pool[0] ?? '', PORT);
      answer = await client.next(1_000).catch(() => '');
    }
    expect(answer).toBe(used === first ? 'node-2 heard again' : 'node-1 heard again');

    const other = used === first ? second : first;
    other?.socket.close();
    for (let tries = 0; tries < 4; tries++) {
      client.send('nobody', lb.pool[0] ?? '', PORT);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await bindEcho(cleanup, 'reborn', used?.address ?? '');
    answer = '';
    for (let tries = 0; tries < 10 && !answer.startsWith('reborn'); tries++) {
      client.send('back', lb.pool[0] ?? '', PORT);
      answer = await client.next(1_000).catch(() => '');
    }
    expect(answer).toBe('reborn heard back');
  });

  it('moves with its next datagram when its node is no longer a target', async () => {
    const nodes = named('node-1', 'node-2');
    await echoes(nodes);
    const lb = world();
    await lb.reconcile(dns(nodes));
    const client = await bindUdp(cleanup, '127.0.0.1');
    client.send('one', lb.pool[0] ?? '', PORT);
    const used = (await client.next()).slice(0, 'node-1'.length);
    await lb.reconcile(dns(nodes.filter(({ name }) => name !== used)));
    client.send('two', lb.pool[0] ?? '', PORT);
    expect(await client.next()).toBe(`${used === 'node-1' ? 'node-2' : 'node-1'} heard two`);
    expect(await sessions(lb)).toBe(1);
  });

  it('moves to the new NodePort when that has changed', async () => {
    const nodes = named('node-1');
    await echoes(nodes);
    await bindEcho(cleanup, 'new port', nodes[0]?.address ?? '', 31_000);
    const lb = world();
    await lb.reconcile(dns(nodes));
    const client = await bindUdp(cleanup, '127.0.0.1');
    client.send('one', lb.pool[0] ?? '', PORT);
    expect(await client.next()).toBe('node-1 heard one');
    await lb.reconcile(dns(nodes, { listeners: [{ port: PORT, protocol: 'UDP', nodePort: 31_000 }] }));
    client.send('two', lb.pool[0] ?? '', PORT);
    expect(await client.next()).toBe('new port heard two');
  });

  it('ends when neither side has said anything for the idle time', async () => {
    const nodes = named('node-1');
    const [node] = await echoes(nodes);
    const lb = world();
    await lb.reconcile(dns(nodes, { settings: { idleTimeoutSeconds: IDLE_SECONDS } }));
    const client = await bindUdp(cleanup, '127.0.0.1');
    const silent = await bindUdp(cleanup, '127.0.0.1');
    silent.send('once', lb.pool[0] ?? '', PORT);
    const began = performance.now();
    while (performance.now() - began < (IDLE_SECONDS + 0.5) * 1_000) {
      client.send('still here', lb.pool[0] ?? '', PORT);
      await client.next();
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    await until(async () => (await sessions(lb)) === 1, 'the silent one has ended');
    expect(new Set(node?.senders.map(({ port }) => port)).size).toBe(2);
    await until(async () => (await sessions(lb)) === 0, 'the other has ended too');
    expect(await metric(lb.registry, 'ballast_proxy_connections_total', { result: 'idle' })).toBe(2);
  });

  it('makes room for a new one at the limit, when it was silent longest', async () => {
    const nodes = named('node-1');
    await echoes(nodes);
    const lb = world();
    await lb.reconcile(dns(nodes, { settings: { maxConnections: 2 } }));
    const clients = await Promise.all([1, 2, 3].map(() => bindUdp(cleanup, '127.0.0.1')));
    for (const client of [0, 1, 0, 2].map((index) => clients[index])) {
      client?.send('hello', lb.pool[0] ?? '', PORT);
      await client?.next();
    }
    expect(await sessions(lb)).toBe(2);
    expect(await metric(lb.registry, 'ballast_proxy_connections_total', { result: 'overflow' })).toBe(1);
    // The first one, which spoke twice, still has its session: no third one made room.
    clients[0]?.send('again', lb.pool[0] ?? '', PORT);
    await clients[0]?.next();
    expect(await metric(lb.registry, 'ballast_proxy_connections_total', { result: 'overflow' })).toBe(1);
  });

  it('takes no place from a port that has no more sessions than its own', async () => {
    const nodes = named('node-1');
    await echoes(nodes);
    const lb = world({ 'proxy-max-udp-sessions': 1 });
    const listeners = [PORT, 5_354].map((port) => ({ port, protocol: 'UDP' as const, nodePort: 30_080 }));
    await lb.reconcile(dns(nodes, { listeners }));
    const [first, second] = [await bindUdp(cleanup, '127.0.0.1'), await bindUdp(cleanup, '127.0.0.1')];
    first.send('hello', lb.pool[0] ?? '', PORT);
    await first.next();
    second.send('hello', lb.pool[0] ?? '', 5_354);
    await until(
      async () => (await metric(lb.registry, 'ballast_proxy_dropped_datagrams_total', { reason: 'no-room' })) === 1,
      'the datagram is dropped',
    );
    first.send('again', lb.pool[0] ?? '', PORT);
    expect(await first.next()).toBe('node-1 heard again');
  });

  it('is not for clients outside the source ranges, and ends for one that is put outside', async () => {
    const nodes = named('node-1');
    const [node] = await echoes(nodes);
    const lb = world();
    const inside = loopback();
    await lb.reconcile(dns(nodes, { sourceRanges: [`${inside}/32`] }));
    const allowed = await bindUdp(cleanup, inside);
    const denied = await bindUdp(cleanup, loopback());
    denied.send('no', lb.pool[0] ?? '', PORT);
    allowed.send('yes', lb.pool[0] ?? '', PORT);
    expect(await allowed.next()).toBe('node-1 heard yes');
    expect(await metric(lb.registry, 'ballast_proxy_dropped_datagrams_total', { reason: 'denied' })).toBe(1);
    const { plan } = await lb.reconcile(dns(nodes, { sourceRanges: [`${denied.address}/32`] }));
    expect(plan.steps).toMatchObject([{ kind: 'updateListener', impact: 'breaks' }]);
    allowed.send('still?', lb.pool[0] ?? '', PORT);
    denied.send('now?', lb.pool[0] ?? '', PORT);
    expect(await denied.next()).toBe('node-1 heard now?');
    expect(node?.received).toEqual(['yes', 'now?']);
  });

  it('ends with its listener', async () => {
    const nodes = named('node-1');
    await echoes(nodes);
    const lb = world();
    await lb.reconcile(dns(nodes));
    const client = await bindUdp(cleanup, '127.0.0.1');
    client.send('hello', lb.pool[0] ?? '', PORT);
    await client.next();
    await lb.remove(dns(nodes));
    expect(await sessions(lb)).toBeUndefined();
    client.send('hello', lb.pool[0] ?? '', PORT);
    await expect(client.next(1_000)).rejects.toThrow('aborted');
  });

  it('carries IPv6 to nodes that have only IPv4', async () => {
    const nodes = named('node-1');
    await echoes(nodes);
    const lb = startWorld(cleanup, { 'proxy-health-port': 0 }, ['::1']);
    const port = 20_000 + (process.pid % 10_000);
    await lb.reconcile(
      dns(nodes, {
        families: [{ family: 'IPv6', required: true }],
        listeners: [{ port, protocol: 'UDP', nodePort: 30_080 }],
      }),
    );
    const client = await bindUdp(cleanup, '::1');
    client.send('hello', '::1', port);
    expect(await client.next()).toBe('node-1 heard hello');
  });
});
