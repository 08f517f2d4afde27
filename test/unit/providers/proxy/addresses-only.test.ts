import { afterEach, describe, expect, it } from 'vitest';
import { desiredLoadBalancer, member, serviceId } from '#test/fakes/builders';
import { openSockets } from '#test/fakes/sockets';
import { Cleanup, NODE_PORT, context, fateOf, nodesOf, startNode, startWorld, type World } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

function start(): World {
  return startWorld(cleanup, { 'proxy-listen': false });
}

const WITHOUT_NODE_PORT = { port: 8_080, nodePort: undefined } as const;

describe('the proxy provider that only gives addresses', () => {
  it('opens nothing and asks no node for its health', async () => {
    const node = await startNode(cleanup, 'node-1');
    const world = start();
    const [address = ''] = world.pool;
    const listeners = [WITHOUT_NODE_PORT, { port: 53, protocol: 'UDP', nodePort: NODE_PORT }] as const;
    const desired = desiredLoadBalancer({ members: [member({ listeners })], nodes: nodesOf([node]) });
    const { plan, status } = await world.reconcile(desired);
    expect(plan.steps.map(({ summary }) => summary)).toContain(`Reserve ${address}:8080/TCP`);
    expect(status.addresses).toEqual([{ kind: 'ip', ip: address, family: 'IPv4' }]);
    expect(await fateOf(address, 8_080, cleanup)).toBe('ECONNREFUSED');
    expect((await openSockets()).filter((socket) => socket.startsWith(`${address}:`))).toEqual([]);
    expect(node.checks).toBe(0);

    await world.remove(desired);
    expect(await world.provider.inventory(context())).toEqual([]);
  });

  it('needs no NodePorts, and tells kube-proxy and people that the traffic is not its business', async () => {
    const world = start();
    expect(world.provider.capabilities).toMatchObject({ needsNodePorts: false, ipMode: 'VIP', inProcess: true });
    const desired = desiredLoadBalancer({ members: [member({ listeners: [WITHOUT_NODE_PORT] })] });
    const { status } = await world.reconcile(desired);
    expect(status.readiness.get('uid-web')).toMatchObject({ ready: false, reason: 'AddressOnly' });
  });

  it('does nothing when a NodePort comes or changes', async () => {
    const world = start();
    const at = (nodePort: number | undefined): Parameters<World['reconcile']>[0] =>
      desiredLoadBalancer({ members: [member({ listeners: [{ port: 8_080, nodePort }] })] });
    await world.reconcile(at(undefined));
    expect((await world.reconcile(at(NODE_PORT))).plan.steps).toEqual([]);
  });

  it('gives a port of a shared address to one load balancer only', async () => {
    const world = startWorld(cleanup, { 'proxy-listen': false }, start().pool.slice(0, 1));
    const web = desiredLoadBalancer({ members: [member({ listeners: [WITHOUT_NODE_PORT] })] });
    await world.reconcile(web);
    const other = {
      ...desiredLoadBalancer({ members: [member({ listeners: [WITHOUT_NODE_PORT] })] }),
      id: serviceId('b'),
    };
    const { plan } = await world.reconcile(other);
    expect(plan.refusals.map(({ code }) => code)).toEqual(['PortConflict']);
  });
});
