/** The API-level halves of upstream's e2e cases "should be able to change the type and ports of a TCP/UDP service". */
import { beforeAll, describe, expect, it } from 'vitest';
import { openAt } from '#test/fakes/sockets';
import { OUR_CLASS, OUR_FINALIZER, addresses, condition, nodePorts, useCluster, type Namespace } from './cluster.ts';
import { startController } from './controller.ts';
import { POLL } from './wait.ts';

const cluster = useCluster();
beforeAll(async () => {
  await startController(cluster);
});

async function addressOf(namespace: Namespace, name: string): Promise<string> {
  const [address = ''] = addresses(await namespace.untilProgrammed(name));
  return address;
}

describe.each(['TCP', 'UDP'] as const)('the type and ports of a %s Service', (protocol) => {
  it('may change, and NodePort and address stay as long as nobody asks for others', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', { spec: { type: 'ClusterIP', ports: [{ port: 80, protocol }] } });
    expect(nodePorts(created)).toEqual([0]);

    const asNodePort = await namespace.patchSpec('web', { type: 'NodePort' });
    const [nodePort = 0] = nodePorts(asNodePort);
    expect(nodePort).toBeGreaterThan(0);

    await namespace.patchSpec('web', { type: 'LoadBalancer', loadBalancerClass: OUR_CLASS });
    const balanced = await namespace.untilProgrammed('web');
    expect(nodePorts(balanced)).toEqual([nodePort]);
    expect(balanced.metadata.finalizers).toContain(OUR_FINALIZER);
    const address = await addressOf(namespace, 'web');
    await expect.poll(() => openAt(address), POLL).toEqual([`80/${protocol}`]);

    const other = nodePort === 32_767 ? nodePort - 1 : nodePort + 1;
    await namespace.updateSpec('web', (spec) => ({ ...spec, ports: [{ port: 80, protocol, nodePort: other }] }));
    const moved = await namespace.untilProgrammed('web');
    expect(nodePorts(moved)).toEqual([other]);
    expect(addresses(moved)).toEqual([address]);
    await namespace.untilSteps('web', new RegExp(`→ ${other}$`), 1);
    await expect.poll(() => openAt(address), POLL).toEqual([`80/${protocol}`]);

    await namespace.updateSpec('web', (spec) => ({
      ...spec,
      ports: spec.ports?.map((port) => ({ ...port, port: 81 })) ?? [],
    }));
    const renumbered = await namespace.untilProgrammed('web');
    expect(nodePorts(renumbered)).toEqual([other]);
    expect(addresses(renumbered)).toEqual([address]);
    await expect.poll(() => openAt(address), POLL).toEqual([`81/${protocol}`]);

    await namespace.updateSpec('web', ({ ports, ...spec }) => ({
      ...spec,
      type: 'ClusterIP',
      ports: ports?.map(({ nodePort: _freed, ...port }) => port) ?? [],
    }));
    const plain = await namespace.until('web', 'our finalizer to be gone', ({ metadata }) => !metadata.finalizers);
    expect(nodePorts(plain)).toEqual([0]);
    expect(addresses(plain)).toEqual([]);
    expect(plain.status?.conditions ?? []).toEqual([]);
    await expect.poll(() => openAt(address), POLL).toEqual([]);
  });

  it('may grow and shrink, and the ports that stay keep their NodePorts', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { ports: [{ name: 'a', port: 80, protocol }] } });
    const [kept = 0] = nodePorts(await namespace.untilProgrammed('web'));
    const address = await addressOf(namespace, 'web');
    await namespace.updateSpec('web', (spec) => ({
      ...spec,
      ports: [...(spec.ports ?? []), { name: 'b', port: 81, protocol }, { name: 'c', port: 82, protocol }],
    }));
    expect(nodePorts(await namespace.untilProgrammed('web'))[0]).toBe(kept);
    await expect.poll(() => openAt(address), POLL).toEqual([`80/${protocol}`, `81/${protocol}`, `82/${protocol}`]);
    await namespace.updateSpec('web', (spec) => ({ ...spec, ports: (spec.ports ?? []).slice(0, 1) }));
    expect(nodePorts(await namespace.untilProgrammed('web'))).toEqual([kept]);
    await expect.poll(() => openAt(address), POLL).toEqual([`80/${protocol}`]);
  });
});

describe('a Service with the same port under both protocols', () => {
  it('is served under both, and under one when the other goes', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('dns', {
      spec: {
        ports: [
          { name: 'tcp', port: 53, protocol: 'TCP' },
          { name: 'udp', port: 53, protocol: 'UDP' },
        ],
      },
    });
    const address = await addressOf(namespace, 'dns');
    await expect.poll(() => openAt(address), POLL).toEqual(['53/TCP', '53/UDP']);
    await namespace.updateSpec('dns', (spec) => ({
      ...spec,
      ports: (spec.ports ?? []).filter((port) => port.protocol === 'UDP'),
    }));
    await namespace.untilProgrammed('dns');
    await expect.poll(() => openAt(address), POLL).toEqual(['53/UDP']);
  });
});

describe('a Service created without NodePorts', () => {
  it('gets them from us, in one piece, and keeps them when the API server is asked to allocate', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', {
      spec: {
        allocateLoadBalancerNodePorts: false,
        ports: [
          { name: 'tcp', port: 53, protocol: 'TCP' },
          { name: 'udp', port: 53, protocol: 'UDP' },
          { name: 'chosen', port: 80, nodePort: 30_005 },
        ],
      },
    });
    expect(nodePorts(created)).toEqual([0, 0, 30_005]);
    const filled = nodePorts(await namespace.untilProgrammed('web'));
    expect(filled[0]).toBe(filled[1]);
    expect(filled[0]).toBeGreaterThanOrEqual(30_086);
    expect(filled[2]).toBe(30_005);
    await namespace.patchSpec('web', { allocateLoadBalancerNodePorts: true });
    const after = await namespace.untilProgrammed('web');
    expect(nodePorts(after)).toEqual(filled);
    expect(condition(after, 'Accepted')).toMatchObject({ status: 'True' });
  });
});
