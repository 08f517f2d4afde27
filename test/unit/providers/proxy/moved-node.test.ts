import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import { desiredLoadBalancer, member, type MemberOptions } from '#test/fakes/builders';
import { Cleanup, NODE_PORT, ask, dialClient, endOf, nodesOf, startNode, startWorld, type FakeNode } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

type Named = Pick<FakeNode, 'name' | 'address'>;

function web(nodes: readonly Named[], options: MemberOptions = {}): DesiredLoadBalancer {
  return desiredLoadBalancer({
    members: [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }], ...options })],
    nodes: nodesOf(nodes),
  });
}

async function say(client: Socket, word: string): Promise<void> {
  client.write(word);
  await once(client, 'data');
}

describe('a node that comes back under its old name with another address', () => {
  it('is another one: what is open to the old address is drained, and nothing else', async () => {
    const serve = (socket: Socket): unknown => socket.pipe(socket);
    const [old, reborn] = [await startNode(cleanup, 'old', { serve }), await startNode(cleanup, 'new', { serve })];
    const world = startWorld(cleanup, { 'proxy-health-port': 0 });
    const settings = { drainTimeoutSeconds: 4 };
    await world.reconcile(web([{ name: 'node-1', address: old.address }], { settings }));
    const before = await dialClient(world.pool[0] ?? '', 8_080, cleanup);
    await say(before, 'hello');

    const { plan } = await world.reconcile(web([{ name: 'node-1', address: reborn.address }], { settings }));
    expect(plan.steps).toMatchObject([{ kind: 'setTargets', impact: 'drains' }]);
    expect(plan.steps[0]?.summary).toContain('change address of node-1');
    const after = await dialClient(world.pool[0] ?? '', 8_080, cleanup);
    await say(after, 'hello');
    expect([old.accepted, reborn.accepted]).toEqual([1, 1]);
    await say(before, 'still here');
    expect(await endOf(before)).toBe('ECONNRESET');
    await say(after, 'here to stay');
  });

  it('is not avoided for what its old address did', async () => {
    const [broken, reborn] = [await startNode(cleanup, 'old', { serve: undefined }), await startNode(cleanup, 'new')];
    const other = await startNode(cleanup, 'other');
    const world = startWorld(cleanup, { 'proxy-health-port': 0, 'proxy-health-interval': 3_600_000 });
    await world.reconcile(web([{ name: 'node-1', address: broken.address }, other]));
    for (let count = 0; count < 8; count++) await ask(world.pool[0] ?? '', 8_080, cleanup);
    await world.reconcile(web([{ name: 'node-1', address: reborn.address }, other]));
    const answers = [await ask(world.pool[0] ?? '', 8_080, cleanup), await ask(world.pool[0] ?? '', 8_080, cleanup)];
    expect(answers.toSorted()).toEqual(['new', 'other']);
  });

  it('does not keep the clients that its old address had', async () => {
    const nodes = [await startNode(cleanup, 'a'), await startNode(cleanup, 'b')];
    const world = startWorld(cleanup, { 'proxy-health-port': 0 });
    const named = nodes.map(({ address }, index) => ({ name: `node-${index}`, address }));
    const options = { affinitySeconds: 3_600 };
    await world.reconcile(web(named, options));
    const first = await ask(world.pool[0] ?? '', 8_080, cleanup);
    const index = nodes.findIndex(({ name }) => name === first);
    const reborn = await startNode(cleanup, 'new');
    const moved = named.map((node, each) => (each === index ? { ...node, address: reborn.address } : node));
    await world.reconcile(web(moved, options));
    const answer = await ask(world.pool[0] ?? '', 8_080, cleanup);
    expect(['a', 'b'].filter((name) => name !== first)).toContain(answer);
  });
});
