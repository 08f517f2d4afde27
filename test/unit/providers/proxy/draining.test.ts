import { afterEach, describe, expect, it } from 'vitest';
import { connect, type Socket } from 'node:net';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import {
  Cleanup,
  NODE_PORT,
  ask,
  context,
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

/** Well above the pauses that a busy machine makes by itself. */
const DRAIN_SECONDS = 4;

const echo = (socket: Socket): unknown => socket.pipe(socket);

function web(nodes: readonly FakeNode[], drainTimeoutSeconds: number): DesiredLoadBalancer {
  return desiredLoadBalancer({
    members: [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }], settings: { drainTimeoutSeconds } })],
    nodes: nodesOf(nodes),
  });
}

/** A client with a connection that has carried something. */
async function talk(world: World): Promise<Socket> {
  const client = await dialClient(world.pool[0] ?? '', 8_080, cleanup);
  await say(client, 'hello');
  return client;
}

/** Sends a word and waits for its echo; rejects when the connection breaks. */
async function say(client: Socket, word: string): Promise<void> {
  const echoed = new Promise<string>((resolve, reject) => {
    client.once('data', (data: Buffer) => resolve(data.toString()));
    client.once('error', reject);
  });
  client.write(word);
  expect(await echoed).toBe(word);
}

describe('when a node is no longer a target', () => {
  it('its connections go on for the drain time, and new ones go elsewhere', async () => {
    const nodes = [
      await startNode(cleanup, 'node-1', { serve: echo }),
      await startNode(cleanup, 'node-2', { serve: echo }),
    ];
    const world = startWorld(cleanup);
    await world.reconcile(web(nodes, DRAIN_SECONDS));
    const clients = [await talk(world), await talk(world)];
    const [first, second] = nodes;
    if (!first || !second) throw new Error('two nodes were started');
    expect([first.accepted, second.accepted]).toEqual([1, 1]);

    const { plan } = await world.reconcile(web([second], DRAIN_SECONDS));
    expect(plan.steps).toMatchObject([{ kind: 'setTargets', impact: 'drains' }]);
    const ends = clients.map((client) => endOf(client));
    for (const client of clients) await say(client, 'still here');
    for (let count = 0; count < 3; count++) (await talk(world)).destroy();
    expect(first.accepted).toBe(1);
    const [end] = await Promise.all([Promise.race(ends), until(() => first.sockets.size === 0, 'it is drained')]);
    expect(end).toBe('ECONNRESET');
    expect(clients.filter((client) => !client.destroyed)).toHaveLength(1);
    expect(await metric(world.registry, 'ballast_proxy_connections_total', { result: 'drained' })).toBe(1);
  });

  it('its connections stay when it comes back in time', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: echo });
    const world = startWorld(cleanup);
    await world.reconcile(web([node], DRAIN_SECONDS));
    const client = await talk(world);
    await world.reconcile(web([], DRAIN_SECONDS));
    await world.reconcile(web([node], DRAIN_SECONDS));
    await new Promise((resolve) => setTimeout(resolve, DRAIN_SECONDS * 1_000 + 500));
    await say(client, 'still here');
    expect(node.accepted).toBe(1);
  });

  it('its connections end at once where there is no drain time', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: echo });
    const world = startWorld(cleanup);
    await world.reconcile(web([node], 0));
    const end = endOf(await talk(world));
    await world.reconcile(web([], 0));
    expect(await end).toBe('ECONNRESET');
  });
});

describe('when a listener closes', () => {
  it('nobody new comes in, and what is open goes on for the drain time', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: echo });
    const world = startWorld(cleanup);
    const desired = web([node], DRAIN_SECONDS);
    await world.reconcile(desired);
    const client = await talk(world);
    await world.remove(desired);
    await expect(dialClient(world.pool[0] ?? '', 8_080, cleanup)).rejects.toThrow('ECONNREFUSED');
    await say(client, 'still here');
    expect(await endOf(client)).toBe('ECONNRESET');
    expect(await metric(world.registry, 'ballast_proxy_active_connections', { port: '8080' })).toBeUndefined();
  });

  it('whoever still waits for room is sent away', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: echo });
    const world = startWorld(cleanup, { 'proxy-max-connections': 1 });
    const desired = web([node], 60);
    await world.reconcile(desired);
    const client = await talk(world);
    const waiting = await dialClient(world.pool[0] ?? '', 8_080, cleanup);
    await until(
      async () => (await metric(world.registry, 'ballast_proxy_waiting_connections', { port: '8080' })) === 1,
      'the second waits',
    );
    const end = endOf(waiting);
    await world.remove(desired);
    expect(await end).toBe('ECONNRESET');
    await say(client, 'still here');
  });

  it('another can open in its place before the old connections have ended', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: echo });
    const world = startWorld(cleanup);
    const desired = web([node], 60);
    await world.reconcile(desired);
    const client = await talk(world);
    await world.remove(desired);
    await world.reconcile(desired);
    await say(await talk(world), 'new');
    await say(client, 'old');
    expect(await metric(world.registry, 'ballast_proxy_active_connections', { port: '8080' })).toBe(2);
    client.end();
    await until(
      async () => (await metric(world.registry, 'ballast_proxy_active_connections', { port: '8080' })) === 1,
      'the old one has ended, and the new one is still counted',
    );
  });

  it('tells when the last connection has ended', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: echo });
    const world = startWorld(cleanup);
    const desired = web([node], 60);
    await world.reconcile(desired);
    const client = await talk(world);
    const changed: string[] = [];
    world.provider.onChange(({ name }) => changed.push(name));
    await world.remove(desired);
    client.end();
    await until(() => changed.includes('web'), 'the change is told');
    expect(await world.provider.inventory(context())).toEqual([]);
  });
});

describe('when the controller ends', () => {
  it('listening stops at once, and connections may go on for a while, but not for long', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: echo });
    const world = startWorld(cleanup, { 'proxy-shutdown-timeout': 3_000 });
    await world.reconcile(web([node], 60));
    const [patient, quick] = [await talk(world), await talk(world)];
    const began = performance.now();
    const stopped = world.stop();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await expect(ask(world.pool[0] ?? '', 8_080, cleanup)).rejects.toThrow('ECONNREFUSED');
    await say(quick, 'last words');
    quick.end();
    expect(await endOf(patient)).toBe('ECONNRESET');
    await stopped;
    expect(performance.now() - began).toBeGreaterThan(2_900);
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it('a connection that the kernel has taken, and we have not seen yet, is served', async () => {
    const node = await startNode(cleanup, 'node-1');
    const world = startWorld(cleanup, { 'proxy-shutdown-timeout': 20_000 });
    await world.reconcile(web([node], 60));
    const client = connect({ host: world.pool[0] ?? '', port: 8_080, allowHalfOpen: true });
    cleanup.add(() => client.destroy());
    const answer = readAll(client);
    client.end();
    // On loopback the handshake is over when the system call returns, which Node makes a tick later.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    const stopped = world.stop();
    expect(await answer).toBe('node-1');
    await stopped;
  });

  it('nothing waits when nothing is open', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: echo });
    const world = startWorld(cleanup, { 'proxy-shutdown-timeout': 60_000 });
    await world.reconcile(web([node], 60));
    (await talk(world)).end();
    await until(() => node.sockets.size === 0, 'the connection has ended');
    const began = performance.now();
    await world.stop();
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it('nothing can be opened any more', async () => {
    const node = await startNode(cleanup, 'node-1', { serve: echo });
    const world = startWorld(cleanup);
    await world.stop();
    const desired = web([node], 60);
    const plan = world.provider.plan(desired, await world.provider.observe(desired.id, context()));
    const [step] = plan.steps;
    if (!step) throw new Error('there is something to do');
    await expect(world.provider.apply(step, context())).rejects.toThrow('has ended');
  });
});
