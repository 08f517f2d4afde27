import { describe, expect, it, onTestFinished } from 'vitest';
import { endpointSlice, node, service, servicePort, type ServiceOptions } from '#test/fakes/builders';
import { Rig } from '#test/fakes/service-rig';
import type { Node } from '#src/kube/wire';
import { startRig } from './start-rig.ts';

const WEB = 'default/web';

function numbered(number: number, labels: Readonly<Record<string, string>> = {}): Node {
  return node({ metadata: { name: `node-${number}`, labels }, addresses: [`10.0.0.${number}`] });
}

async function working(options: ServiceOptions = {}): Promise<Rig> {
  const rig = await startRig();
  rig.api.create(service({ loadBalancerClass: null, ...options }));
  await rig.settle();
  rig.provider.calls.length = 0;
  rig.api.writes.length = 0;
  rig.events.length = 0;
  return rig;
}

function targets(rig: Rig): readonly string[] {
  return rig.world.list().flatMap(({ listeners }) => listeners.flatMap((listener) => listener.targets));
}

/** What the metrics say of the guard. */
async function heldBy(rig: Rig): Promise<{ readonly active: number; readonly held: number }> {
  const text = await rig.registry.metrics();
  const value = (name: string): number =>
    Number(new RegExp(`^${name}\\{provider="recording"\\} (\\d+)$`, 'm').exec(text)?.[1]);
  return { active: value('ballast_node_guard_active'), held: value('ballast_nodes_held') };
}

describe('nodes', () => {
  it('that come and go change the targets, without a write or an event', async () => {
    const rig = await working();
    expect(targets(rig)).toEqual(['10.0.0.1:30080', '10.0.0.2:30080']);
    rig.putNode(numbered(3));
    await rig.settle();
    expect(targets(rig)).toHaveLength(3);
    rig.nodes.delete(numbered(1));
    await rig.settle();
    expect(targets(rig)).toEqual(['10.0.0.2:30080', '10.0.0.3:30080']);
    expect(rig.api.writes).toEqual([]);
    expect(rig.events).toEqual([]);
  });

  it('make one change in a burst', async () => {
    const rig = await working();
    for (let number = 3; number <= 50; number++) rig.putNode(numbered(number));
    await rig.settle();
    expect(targets(rig)).toHaveLength(50);
    expect(rig.provider.applied).toHaveLength(1);
  });

  it.each<[string, (each: Node) => Node]>([
    [
      'are not ready',
      (each) => ({ ...each, status: { ...each.status, conditions: [{ type: 'Ready', status: 'False' }] } }),
    ],
    ['are cordoned', (each) => ({ ...each, spec: { ...each.spec, unschedulable: true } })],
    ['get another label', (each) => ({ ...each, metadata: { ...each.metadata, labels: { a: 'b' } } })],
  ])('that %s cause no work', async (_, change) => {
    const rig = await working();
    const { pending } = rig.clock;
    rig.putNode(change(numbered(1)));
    expect(rig.clock.pending).toBe(pending);
    await rig.settle();
    expect(rig.provider.calls).toEqual([]);
  });

  it('that come back within the burst cause no work', async () => {
    const rig = await working();
    rig.nodes.delete(numbered(1));
    rig.putNode(numbered(1));
    await rig.settle();
    expect(rig.provider.calls).toEqual([]);
  });

  it('act at once when they are to be removed', async () => {
    const rig = await working();
    rig.putNode({
      ...numbered(1),
      spec: { taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] },
    });
    await rig.settle();
    expect(targets(rig)).toEqual(['10.0.0.2:30080']);
    rig.putNode(numbered(2, { 'node.kubernetes.io/exclude-from-external-load-balancers': '' }));
    await rig.settle();
    expect(targets(rig)).toEqual([]);
  });

  it('that are all gone leave a load balancer that says so', async () => {
    const rig = await working();
    rig.nodes.replace([]);
    await rig.settle(rig.config.nodeGuard.holdMs + 200);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.condition(WEB, 'Ready')).toBe('False NoNodes');
    expect(rig.told()).toEqual(['UnAvailableLoadBalancer']);
    rig.putNode(numbered(1));
    await rig.settle();
    expect(rig.condition(WEB, 'Ready')).toBe('True HasTargets');
    expect(rig.told()).toEqual(['UnAvailableLoadBalancer']);
  });
});

describe('nodes that vanish at once', () => {
  const all = [1, 2].map((number) => numbered(number));

  it('keep their traffic until a list shows them again; one event each says so, and no Service is written', async () => {
    const rig = await working();
    rig.nodes.replace([]);
    await rig.settle(5_000);
    expect(targets(rig)).toHaveLength(2);
    expect(rig.provider.applied).toEqual([]);
    expect(rig.nodeEvents).toMatchObject([{ name: 'node-1', type: 'Warning', reason: 'NodesMissing' }]);
    expect(rig.nodeEvents[0]?.message).toContain('2 of 2 nodes vanished at once (node-1, node-2)');
    expect(await heldBy(rig)).toEqual({ active: 1, held: 2 });
    rig.nodes.replace(all);
    await rig.settle();
    expect(rig.nodeEvents.map(({ reason }) => reason)).toEqual(['NodesMissing', 'NodesReturned']);
    expect(await heldBy(rig)).toEqual({ active: 0, held: 0 });
    await rig.settle(rig.config.resyncMs);
    expect(rig.provider.applied).toEqual([]);
    expect(rig.api.writes).toEqual([]);
    expect(rig.events).toEqual([]);
    expect(rig.nodeEvents).toHaveLength(2);
  });

  it('are let go when the time is over', async () => {
    const rig = await working();
    for (const each of all) rig.nodes.delete(each);
    await rig.settle(59_000);
    expect(targets(rig)).toHaveLength(2);
    await rig.settle(2_000);
    expect(targets(rig)).toEqual([]);
    expect(rig.nodeEvents.map(({ reason }) => reason)).toEqual(['NodesMissing', 'NodesRemoved']);
    expect(rig.told()).toEqual(['UnAvailableLoadBalancer']);
    expect(await heldBy(rig)).toEqual({ active: 0, held: 0 });
  });

  it('keep their traffic also at a new leader that has followed', async () => {
    const rig = await working();
    const follower = new Rig({ cluster: rig, provider: { world: rig.world } });
    onTestFinished(() => follower.stop());
    await rig.settle();
    rig.putNode(numbered(3));
    await rig.settle();
    expect(targets(rig)).toHaveLength(3);
    await follower.settle();
    rig.nodes.replace([]);
    await rig.settle();
    await follower.settle();
    await rig.stop();
    await follower.start();
    expect(targets(rig)).toHaveLength(3);
    expect(follower.nodeEvents).toEqual([]);
  });

  it('are explained', async () => {
    const rig = await working();
    rig.nodes.replace([]);
    await rig.settle();
    const decisions = await rig.controller.explainFor(WEB, new AbortController().signal);
    expect(decisions?.map(({ text }) => text).join(' ')).toContain(
      'kept for a while (--node-loss-hold): node-1, node-2',
    );
  });

  it('are let go at once where the operator wants it so', async () => {
    const rig = await startRig({ config: { nodeGuard: { limitPercent: 50, windowMs: 10_000, holdMs: 0 } } });
    rig.api.create(service({ loadBalancerClass: null }));
    await rig.settle();
    rig.nodes.replace([]);
    await rig.settle();
    expect(targets(rig)).toEqual([]);
    expect(rig.nodeEvents).toEqual([]);
  });

  it('leave no timer behind', async () => {
    const rig = await working();
    rig.nodes.replace([]);
    await rig.settle();
    await rig.stop();
    expect(rig.clock.pending).toBe(0);
  });
});

describe('endpoints', () => {
  const local: ServiceOptions = {
    spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000, ports: [servicePort()] },
  };

  it('decide which nodes get traffic under the Local policy, as they move', async () => {
    const rig = await working(local);
    expect(targets(rig)).toEqual([]);
    expect(rig.condition(WEB, 'Ready')).toBe('False NoTargets');
    rig.putSlice(endpointSlice({ endpoints: [{ nodeName: 'node-2' }] }));
    await rig.settle();
    expect(targets(rig)).toEqual(['10.0.0.2:30080']);
    rig.putSlice(endpointSlice({ endpoints: [{ nodeName: 'node-1' }, { nodeName: 'node-2', ready: false }] }));
    await rig.settle();
    expect(targets(rig)).toEqual(['10.0.0.1:30080']);
    rig.slices.delete(endpointSlice());
    await rig.settle();
    expect(targets(rig)).toEqual([]);
  });

  it('that stay on their nodes cause no work', async () => {
    const rig = await working(local);
    rig.putSlice(endpointSlice({ endpoints: [{ nodeName: 'node-2' }] }));
    await rig.settle();
    rig.provider.calls.length = 0;
    rig.putSlice(
      endpointSlice({ endpoints: [{ nodeName: 'node-2' }, { nodeName: 'node-2', address: '10.244.1.11' }] }),
    );
    await rig.settle();
    expect(rig.provider.calls).toEqual([]);
  });

  it('cause no work under the Cluster policy, or of Services that are not ours', async () => {
    const rig = await working();
    rig.putSlice(endpointSlice());
    rig.putSlice(endpointSlice({ service: 'stranger' }));
    await rig.settle();
    expect(rig.provider.calls).toEqual([]);
  });

  it('matter from the moment that the policy becomes Local', async () => {
    const rig = await working();
    rig.putSlice(endpointSlice({ endpoints: [{ nodeName: 'node-2' }] }));
    await rig.settle();
    rig.api.edit(WEB, { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 });
    await rig.settle();
    expect(targets(rig)).toEqual(['10.0.0.2:30080']);
  });
});
