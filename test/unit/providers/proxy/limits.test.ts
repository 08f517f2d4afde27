import { afterEach, describe, expect, it } from 'vitest';
import type { Socket } from 'node:net';
import type { MemberSettings } from '#src/loadbalancer/model';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import {
  Cleanup,
  NODE_PORT,
  dialClient,
  endOf,
  fateOf,
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

interface Limited {
  readonly world: World;
  readonly node: FakeNode;
  readonly connect: (port?: number) => Promise<Socket>;
  readonly setLimit: (settings: MemberSettings) => Promise<void>;
}

/** An echo behind two ports. */
async function limited(settings: MemberSettings, raw: Readonly<Record<string, unknown>> = {}): Promise<Limited> {
  const node = await startNode(cleanup, 'node-1', { serve: (socket) => socket.pipe(socket) });
  const world = startWorld(cleanup, raw);
  const setLimit = async (to: MemberSettings): Promise<void> => {
    const listeners = [8_080, 8_081].map((port) => ({ port, nodePort: NODE_PORT }));
    const members = [member({ listeners, settings: to })];
    await world.reconcile(desiredLoadBalancer({ members, nodes: nodesOf([node]) }));
  };
  await setLimit(settings);
  const connect = (port = 8_080): Promise<Socket> => dialClient(world.pool[0] ?? '', port, cleanup);
  return { world, node, connect, setLimit };
}

const waiting = (world: World): Promise<number | undefined> =>
  metric(world.registry, 'ballast_proxy_waiting_connections', { port: '8080' });

describe('a listener with a limit of connections', () => {
  it('lets one more wait, unharmed, until another ends', async () => {
    const { world, node, connect } = await limited({ maxConnections: 1 });
    const first = await connect();
    await until(() => node.accepted === 1, 'the first is served');
    const second = await connect();
    second.end('patience');
    const answer = readAll(second);
    await until(async () => (await waiting(world)) === 1, 'the second waits');
    expect(node.accepted).toBe(1);
    first.end();
    expect(await answer).toBe('patience');
    expect(node.accepted).toBe(2);
    expect(await waiting(world)).toBe(0);
  });

  it('makes a waiting client wait with what it sends, too', async () => {
    const { world, connect } = await limited({ maxConnections: 1 });
    const first = await connect();
    const second = await connect();
    await until(async () => (await waiting(world)) === 1, 'the second waits');
    const sent = Buffer.alloc(32 * 1_048_576, 'x');
    const before = process.memoryUsage().arrayBuffers;
    second.end(sent);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 1_048_576);
    expect(await metric(world.registry, 'ballast_proxy_bytes_total', { port: '8080', direction: 'in' })).toBe(0);
    first.end();
    expect((await readAll(second)).length).toBe(sent.length);
  });

  it('forgets a client that went while it waited', async () => {
    const { world, node, connect } = await limited({ maxConnections: 1 });
    const first = await connect();
    const gone = await connect();
    await until(async () => (await waiting(world)) === 1, 'the second waits');
    gone.resetAndDestroy();
    const third = await connect();
    third.end('mine');
    const answer = readAll(third);
    first.end();
    expect(await answer).toBe('mine');
    await until(() => node.sockets.size === 0, 'nothing is left at the node');
  });

  it('does not let a client wait for longer than it may be silent', async () => {
    const { connect } = await limited({ maxConnections: 1, idleTimeoutSeconds: 4 });
    const first = await connect();
    const chatter = setInterval(() => first.write('.'), 200);
    cleanup.add(() => clearInterval(chatter));
    expect(await endOf(await connect())).toBe('ECONNRESET');
    expect(first.destroyed).toBe(false);
  });

  it('resets the client for whom there is not even room to wait', async () => {
    const { world, connect } = await limited({ maxConnections: 1 }, { 'proxy-max-waiting': 1 });
    await connect();
    await connect();
    await until(async () => (await waiting(world)) === 1, 'the second waits');
    expect(await fateOf(world.pool[0] ?? '', 8_080, cleanup)).toBe('ECONNRESET');
    expect(await metric(world.registry, 'ballast_proxy_connections_total', { result: 'overflow' })).toBe(1);
  });

  it('admits those who wait when the limit is raised', async () => {
    const { connect, setLimit } = await limited({ maxConnections: 1 });
    await connect();
    const second = await connect();
    second.end('at last');
    const answer = readAll(second);
    await setLimit({ maxConnections: 2 });
    expect(await answer).toBe('at last');
  });

  it('leaves the other listeners alone', async () => {
    const { connect } = await limited({ maxConnections: 1 });
    await connect();
    const other = await connect(8_081);
    other.end('free');
    expect(await readAll(other)).toBe('free');
  });
});

describe('the limit over all listeners', () => {
  it('makes every listener wait', async () => {
    const { world, node, connect } = await limited({}, { 'proxy-max-connections': 2 });
    const [first] = [await connect(), await connect(8_081)];
    await until(() => node.accepted === 2, 'two are served');
    const third = await connect();
    third.end('third');
    const answer = readAll(third);
    await until(async () => (await waiting(world)) === 1, 'the third waits');
    first.end();
    expect(await answer).toBe('third');
  });
});
