import { afterEach, describe, expect, it } from 'vitest';
import { desiredLoadBalancer, member, serviceId } from '#test/fakes/builders';
import type { MemberOptions } from '#test/fakes/builders';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import {
  Cleanup,
  NODE_PORT,
  ask,
  context,
  metric,
  nodesOf,
  startNode,
  startWorld,
  until,
  type FakeNode,
} from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function web(nodes: readonly FakeNode[], options: MemberOptions = {}): DesiredLoadBalancer {
  return desiredLoadBalancer({
    members: [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }], ...options })],
    nodes: nodesOf(nodes),
  });
}

describe('the proxy provider', () => {
  it('takes a Service from nothing to an address that answers from every node, and back', async () => {
    const nodes = [await startNode(cleanup, 'node-1'), await startNode(cleanup, 'node-2')];
    const world = startWorld(cleanup);
    const desired = web(nodes);

    const { plan, status } = await world.reconcile(desired);
    expect(plan.steps.map(({ kind }) => kind)).toEqual(['setTargets', 'assignAddress', 'openListener']);
    expect(status.addresses).toEqual([{ kind: 'ip', ip: world.pool[0], family: 'IPv4' }]);

    const answers = new Set<string>();
    for (let count = 0; count < 4; count++) answers.add(await ask(world.pool[0] ?? '', 8_080, cleanup));
    expect([...answers].toSorted()).toEqual(['node-1', 'node-2']);

    const removal = await world.remove(desired);
    expect(removal.steps.map(({ kind }) => kind)).toEqual(['closeListener', 'releaseAddress', 'dropTargets']);
    await expect(ask(world.pool[0] ?? '', 8_080, cleanup)).rejects.toThrow('ECONNREFUSED');
    expect(await world.provider.inventory(context())).toEqual([]);
  });

  it('becomes ready when a node has passed its check, and says so by itself', async () => {
    const node = await startNode(cleanup, 'node-1');
    const world = startWorld(cleanup);
    const changed: string[] = [];
    world.provider.onChange(({ name }) => changed.push(name));
    const desired = web([node]);
    const { status } = await world.reconcile(desired);
    expect(status.readiness.get('uid-web')).toMatchObject({ ready: false, reason: 'NotChecked' });
    await until(() => changed.length > 0, 'the change is told');
    const after = await world.reconcile(desired);
    expect(after.status.readiness.get('uid-web')).toMatchObject({ ready: true, reason: 'TargetsHealthy' });

    node.healthStatus = 503;
    await until(() => changed.length > 1, 'the change back is told');
    const last = await world.reconcile(desired);
    expect(last.status.readiness.get('uid-web')).toMatchObject({ ready: false, reason: 'NoHealthyTargets' });
  });

  it('says nothing while the answer stays the same', async () => {
    const nodes = [await startNode(cleanup, 'node-1'), await startNode(cleanup, 'node-2')];
    const world = startWorld(cleanup);
    const desired = web(nodes);
    await world.reconcile(desired);
    const healthy = (name: string): Promise<number | undefined> =>
      metric(world.registry, 'ballast_proxy_target_healthy', { node: name });
    await until(async () => (await healthy('node-1')) === 1 && (await healthy('node-2')) === 1, 'both are healthy');
    await world.reconcile(desired);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const changed: string[] = [];
    world.provider.onChange(({ name }) => changed.push(name));
    const [first] = nodes;
    if (first) first.healthStatus = 503;
    await until(async () => (await healthy('node-1')) === 0, 'one is not');
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(changed).toEqual([]);
  });

  it('keeps what the status showed over a restart, before anybody new gets an address', async () => {
    const node = await startNode(cleanup, 'node-1');
    const first = startWorld(cleanup);
    await first.reconcile({ ...web([node]), requestedAddresses: [first.pool[1] ?? ''] });
    await first.stop();

    const second = startWorld(cleanup, {}, first.pool);
    second.provider.restore([{ id: serviceId('web'), addresses: [first.pool[1] ?? ''] }]);
    expect(await second.provider.inventory(context())).toEqual([{ id: serviceId('web'), members: [] }]);
    const { status } = await second.reconcile(web([node]));
    expect(status.addresses).toMatchObject([{ ip: first.pool[1] }]);
  });
});
