import { afterEach, describe, expect, it } from 'vitest';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import { desiredLoadBalancer, member, nodeSet, nodeTarget } from '#test/fakes/builders';
import type { MemberOptions } from '#test/fakes/builders';
import {
  Cleanup,
  NODE_PORT,
  ask,
  context,
  dialClient,
  fateOf,
  loopback,
  metric,
  nodesOf,
  startNode,
  startWorld,
  until,
  type FakeNode,
  type World,
} from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const HEALTH_NODE_PORT = 32_000;

function web(nodes: readonly FakeNode[], options: MemberOptions = {}): DesiredLoadBalancer {
  const members = [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }], ...options })];
  return desiredLoadBalancer({ members, nodes: nodesOf(nodes) });
}

async function many(count: number, healthPort?: number): Promise<readonly FakeNode[]> {
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      startNode(cleanup, `node-${index + 1}`, healthPort === undefined ? {} : { healthPort }),
    ),
  );
}

async function answers(world: World, count: number, from?: string): Promise<readonly string[]> {
  const heard: string[] = [];
  for (let each = 0; each < count; each++) heard.push(await ask(world.pool[0] ?? '', 8_080, cleanup, from));
  return heard;
}

const isReady = async (world: World, desired: DesiredLoadBalancer): Promise<boolean | undefined> =>
  world.provider.status(desired, await world.provider.observe(desired.id, context())).readiness.get('uid-web')?.ready;

describe('session affinity', () => {
  it('brings a client back to its node, and other clients to others', async () => {
    const nodes = await many(3);
    const world = startWorld(cleanup);
    await world.reconcile(web(nodes, { affinitySeconds: 60 }));
    const clients = [loopback(), loopback(), loopback()];
    const first = await Promise.all(clients.map((client) => answers(world, 1, client)));
    expect(new Set(first.flat()).size).toBe(3);
    for (const [index, client] of clients.entries()) {
      expect(new Set(await answers(world, 4, client))).toEqual(new Set(first[index]));
    }
  });

  it('gives a client another node when its own has gone, and then stays there', async () => {
    const nodes = await many(3);
    const world = startWorld(cleanup);
    await world.reconcile(web(nodes, { affinitySeconds: 60 }));
    const client = loopback();
    const [own] = await answers(world, 1, client);
    const rest = nodes.filter(({ name }) => name !== own);
    await world.reconcile(web(rest, { affinitySeconds: 60 }));
    const later = new Set(await answers(world, 4, client));
    expect(later.size).toBe(1);
    expect(later).not.toContain(own);
    await world.reconcile(web(nodes, { affinitySeconds: 60 }));
    expect(new Set(await answers(world, 4, client))).toEqual(later);
  });

  it('ends when the Service no longer asks for it', async () => {
    const world = startWorld(cleanup);
    const nodes = await many(2);
    await world.reconcile(web(nodes, { affinitySeconds: 60 }));
    await answers(world, 1);
    await world.reconcile(web(nodes));
    expect(new Set(await answers(world, 4)).size).toBe(2);
  });
});

describe('source ranges', () => {
  it('keep out everybody else, with a reset, and follow a change at once', async () => {
    const world = startWorld(cleanup);
    const nodes = await many(1);
    const [inside, outside] = [loopback(), loopback()];
    await world.reconcile(web(nodes, { sourceRanges: [`${inside}/32`] }));
    expect(await answers(world, 1, inside)).toEqual(['node-1']);
    expect(await fateOf(world.pool[0] ?? '', 8_080, cleanup, outside)).toBe('ECONNRESET');
    expect(await metric(world.registry, 'ballast_proxy_connections_total', { result: 'denied' })).toBe(1);
    expect(nodes[0]?.accepted).toBe(1);
    await world.reconcile(web(nodes, { sourceRanges: [] }));
    expect(await answers(world, 1, outside)).toEqual(['node-1']);
  });
});

describe('with the policy Local', () => {
  const local = { trafficPolicy: 'Local', healthCheckNodePort: HEALTH_NODE_PORT } as const;

  it('only nodes with an endpoint get anything, also while endpoints move', async () => {
    const nodes = await many(3, HEALTH_NODE_PORT);
    const world = startWorld(cleanup);
    await world.reconcile(web(nodes, { ...local, endpointNodes: ['node-1'] }));
    expect(new Set(await answers(world, 6))).toEqual(new Set(['node-1']));
    await world.reconcile(web(nodes, { ...local, endpointNodes: ['node-1', 'node-3'] }));
    await until(async () => new Set(await answers(world, 4)).size === 2, 'both are used');
    await world.reconcile(web(nodes, { ...local, endpointNodes: ['node-3'] }));
    expect(new Set(await answers(world, 6))).toEqual(new Set(['node-3']));
    expect(nodes[1]?.accepted).toBe(0);
  });

  it('a node that says on the healthCheckNodePort that it has none is not used', async () => {
    const nodes = await many(2, HEALTH_NODE_PORT);
    const world = startWorld(cleanup);
    const desired = web(nodes, { ...local, endpointNodes: ['node-1', 'node-2'] });
    await world.reconcile(desired);
    await until(() => isReady(world, desired).then(Boolean), 'it is ready');
    const [first] = nodes;
    if (first) first.healthStatus = 503;
    await until(async () => new Set(await answers(world, 4)).size === 1, 'only one is used');
    expect(await answers(world, 2)).toEqual(['node-2', 'node-2']);
    expect(await isReady(world, desired)).toBe(true);
  });

  it('nobody is asked when no node has an endpoint', async () => {
    const nodes = await many(2, HEALTH_NODE_PORT);
    const world = startWorld(cleanup);
    const desired = web(nodes, { ...local, endpointNodes: [] });
    const { status } = await world.reconcile(desired);
    expect(status.readiness.get('uid-web')).toMatchObject({ ready: false, reason: 'NoLocalEndpoints' });
    expect(status.addresses).toHaveLength(1);
    expect(await fateOf(world.pool[0] ?? '', 8_080, cleanup)).toBe('ECONNRESET');
    expect(nodes.map(({ accepted }) => accepted)).toEqual([0, 0]);
  });

  it('nodes that do not matter are not asked for their health', async () => {
    const nodes = await many(2, HEALTH_NODE_PORT);
    const world = startWorld(cleanup);
    const desired = web(nodes, { ...local, endpointNodes: ['node-2'] });
    await world.reconcile(desired);
    await until(() => isReady(world, desired).then(Boolean), 'it is ready');
    expect(nodes[0]?.checks).toBe(0);
  });
});

describe('health checks', () => {
  it('take a node out that is about to go, and leave its connections alone', async () => {
    const nodes = await Promise.all(
      ['node-1', 'node-2'].map((name) => startNode(cleanup, name, { serve: (socket) => socket.write(name) })),
    );
    const world = startWorld(cleanup);
    const desired = web(nodes);
    await world.reconcile(desired);
    await until(() => isReady(world, desired).then(Boolean), 'it is ready');
    const client = await dialClient(world.pool[0] ?? '', 8_080, cleanup);
    await until(() => nodes.some(({ accepted }) => accepted === 1), 'a node has the client');
    const [used, other] = nodes[0]?.accepted === 1 ? nodes : nodes.toReversed();
    if (!used || !other) throw new Error('two nodes were started');
    used.healthStatus = 503;
    await until(
      async () => (await metric(world.registry, 'ballast_proxy_target_healthy', { node: used.name })) === 0,
      'the node is out',
    );
    for (let count = 0; count < 4; count++) await dialClient(world.pool[0] ?? '', 8_080, cleanup);
    await until(() => other.accepted === 4, 'the other has all new clients');
    expect(used.accepted).toBe(1);
    const echoed = new Promise((resolve) => {
      for (const socket of used.sockets) socket.once('data', (data) => resolve(data.toString()));
    });
    client.write('still here');
    expect(await echoed).toBe('still here');
  });

  it('are not believed when they say that every node is broken', async () => {
    const nodes = await many(2);
    for (const node of nodes) node.healthStatus = 500;
    const world = startWorld(cleanup);
    const desired = web(nodes);
    await world.reconcile(desired);
    await until(
      async () => (await metric(world.registry, 'ballast_proxy_target_healthy', { node: 'node-2' })) === 0,
      'the nodes are out',
    );
    expect(new Set(await answers(world, 4)).size).toBe(2);
    expect(await isReady(world, desired)).toBe(false);
  });

  it('are asked once for all load balancers over the same nodes', async () => {
    const [node] = await many(1);
    if (!node) throw new Error('a node was started');
    const world = startWorld(cleanup, { 'proxy-health-interval': 3_600_000 });
    for (const name of ['a', 'b', 'c']) {
      const { members } = web([node], { name });
      const id = { kind: 'service', namespace: 'default', name } as const;
      await world.reconcile({ ...web([node]), id, members });
    }
    await until(() => node.checks === 1, 'the node is asked');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(node.checks).toBe(1);
  });
});

describe('the families', () => {
  it('need not be the same on both sides', async () => {
    const [node] = await many(1);
    const port = 20_000 + (process.pid % 10_000);
    const world = startWorld(cleanup, { 'proxy-health-port': 0 }, ['::1']);
    const listeners = [{ port, nodePort: NODE_PORT }];
    const members = [member({ listeners, families: [{ family: 'IPv6', required: true }] })];
    const nodes = nodeSet([
      nodeTarget({ name: 'without an address', addresses: {} }),
      nodeTarget({ name: 'node-1', addresses: { IPv4: node?.address ?? '' } }),
    ]);
    const { status } = await world.reconcile(desiredLoadBalancer({ members, nodes }));
    expect(status.addresses).toEqual([{ kind: 'ip', ip: '::1', family: 'IPv6' }]);
    for (let count = 0; count < 4; count++) expect(await ask('::1', port, cleanup)).toBe('node-1');
  });
});

describe('a member without any node', () => {
  it('resets its clients, and serves them as soon as there is one', async () => {
    const nodes = await many(1);
    const world = startWorld(cleanup);
    const { status } = await world.reconcile(web([]));
    expect(status.readiness.get('uid-web')).toMatchObject({ ready: false, reason: 'NoNodes' });
    expect(await fateOf(world.pool[0] ?? '', 8_080, cleanup)).toBe('ECONNRESET');
    await world.reconcile(web(nodes));
    expect(await answers(world, 1)).toEqual(['node-1']);
  });
});
