import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import {
  Cleanup,
  NODE_PORT,
  ask,
  dialClient,
  endOf,
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

async function balance(nodes: readonly FakeNode[], raw: Readonly<Record<string, unknown>> = {}): Promise<World> {
  const world = startWorld(cleanup, raw);
  const members = [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }] })];
  await world.reconcile(desiredLoadBalancer({ members, nodes: nodesOf(nodes) }));
  return world;
}

/** A node whose NodePort refuses. */
const refusing = { serve: undefined };
const failedAt = (node: string): Readonly<Record<string, string>> => ({ node, result: 'failed' });

describe('a connection that no node takes', () => {
  it('waits for one that opens its port a moment later, as kube-proxy does for a new Service', async () => {
    const node = await startNode(cleanup, 'node-1', refusing);
    const world = await balance([node]);
    const answer = ask(world.pool[0] ?? '', 8_080, cleanup);
    await delay(500);
    const server = createServer((socket) => socket.end('here now'));
    server.listen(NODE_PORT, node.address);
    await once(server, 'listening');
    cleanup.add(() => server.close());
    expect(await answer).toBe('here now');
  });

  it('asks every node before it asks one again', async () => {
    const nodes = await Promise.all(['node-1', 'node-2', 'node-3'].map((name) => startNode(cleanup, name, refusing)));
    const world = await balance(nodes, { 'proxy-connect-attempts': 6 });
    expect(await endOf(await dialClient(world.pool[0] ?? '', 8_080, cleanup))).toBe('ECONNRESET');
    for (const { name } of nodes) {
      expect(await metric(world.registry, 'ballast_proxy_target_connections_total', failedAt(name))).toBe(2);
    }
    expect(await metric(world.registry, 'ballast_proxy_retries_total', { port: '8080' })).toBe(5);
  });

  it('asks a node that fails its check before it asks a healthy one again', async () => {
    const healthy = await startNode(cleanup, 'node-1', refusing);
    const unhealthy = await startNode(cleanup, 'node-2');
    unhealthy.healthStatus = 503;
    const world = await balance([healthy, unhealthy]);
    const isHealthy = (node: string): Promise<number | undefined> =>
      metric(world.registry, 'ballast_proxy_target_healthy', { node });
    await until(async () => (await isHealthy('node-1')) === 1, 'the one is known to be healthy');
    await until(async () => (await isHealthy('node-2')) === 0, 'the other is known not to be');
    expect(await ask(world.pool[0] ?? '', 8_080, cleanup)).toBe('node-2');
    expect(await metric(world.registry, 'ballast_proxy_target_connections_total', failedAt('node-1'))).toBe(1);
  });

  it('ends between two attempts when its listener closes', async () => {
    const node = await startNode(cleanup, 'node-1', refusing);
    const world = await balance([node], { 'proxy-connect-attempts': 12, 'proxy-drain-timeout': 0 });
    const client = await dialClient(world.pool[0] ?? '', 8_080, cleanup);
    const end = endOf(client);
    await delay(600);
    const began = performance.now();
    await world.remove(desiredLoadBalancer({}));
    expect(await end).toBe('ECONNRESET');
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});
