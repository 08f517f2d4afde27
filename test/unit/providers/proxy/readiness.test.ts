import { afterEach, describe, expect, it } from 'vitest';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import { Cleanup, NODE_PORT, context, nodesOf, startNode, startWorld, until } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

describe('a change of readiness', () => {
  it('is told even if somebody who only asks has seen it first', async () => {
    const node = await startNode(cleanup, 'node-1');
    const world = startWorld(cleanup);
    const { provider } = world;
    const desired = desiredLoadBalancer({
      members: [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }] })],
      nodes: nodesOf([node]),
    });
    await world.reconcile(desired);
    const readiness = async (): Promise<boolean | undefined> =>
      provider.status(desired, await provider.observe(desired.id, context())).readiness.get('uid-web')?.ready;
    await until(async () => (await readiness()) === true, 'it is ready');
    await new Promise((resolve) => setTimeout(resolve, 400));
    await world.reconcile(desired);
    const told: string[] = [];
    provider.onChange(({ name }) => told.push(name));

    node.healthStatus = 503;
    await until(async () => (await readiness()) === false, 'somebody has asked meanwhile');
    await until(() => told.length > 0, 'the change is told');
    expect(told[0]).toBe('web');
  });
});
