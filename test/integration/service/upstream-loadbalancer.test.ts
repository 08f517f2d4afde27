/**
 * The cases of Kubernetes' own `test/integration/service/loadbalancer_test.go` (v1.36), by its names: what the API
 * server does first, then what our controller makes of it.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Service } from '#src/kube/wire';
import { OUR_CLASS, OUR_FINALIZER, UPSTREAM_FINALIZER, addresses, nodePorts, refusal, useCluster } from './cluster.ts';
import { startController } from './controller.ts';
import { stays } from './wait.ts';

const cluster = useCluster();
beforeAll(async () => {
  await startController(cluster);
});

const FOREIGN_CLASS = 'test.com/test';
const isNodePort = (port: number): boolean => port >= 30_000 && port <= 32_767;
const first = (service: Service): number => nodePorts(service)[0] ?? 0;

describe('NodePorts of a Service whose class nobody here claims are left to the API server', () => {
  it('ServiceLoadBalancerDisableAllocateNodePorts', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', {
      spec: { loadBalancerClass: FOREIGN_CLASS, allocateLoadBalancerNodePorts: false },
    });
    expect(nodePorts(created)).toEqual([0]);
    await stays(async () => expect(nodePorts(await namespace.get('web'))).toEqual([0]), 500);
  });

  it('ServiceLoadBalancerDisableThenEnableAllocatedNodePorts', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { loadBalancerClass: FOREIGN_CLASS, allocateLoadBalancerNodePorts: false } });
    const enabled = await namespace.updateSpec('web', (spec) => ({ ...spec, allocateLoadBalancerNodePorts: true }));
    expect(first(enabled)).toSatisfy(isNodePort);
  });
});

describe('NodePorts of a Service that is ours are filled where the API server leaves them out', () => {
  it('ServiceLoadBalancerDisableAllocateNodePorts', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', { spec: { allocateLoadBalancerNodePorts: false } });
    expect(nodePorts(created)).toEqual([0]);
    const programmed = await namespace.untilProgrammed('web');
    expect(first(programmed)).toSatisfy(isNodePort);
    expect(programmed.spec?.allocateLoadBalancerNodePorts).toBe(false);
  });

  it('ServiceUpdateLoadBalancerDisableAllocateNodePorts', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', { spec: { type: 'ClusterIP' } });
    expect(nodePorts(created)).toEqual([0]);
    const updated = await namespace.updateSpec('web', (spec) => ({
      ...spec,
      type: 'LoadBalancer',
      loadBalancerClass: OUR_CLASS,
      allocateLoadBalancerNodePorts: false,
    }));
    expect(nodePorts(updated)).toEqual([0]);
    expect(first(await namespace.untilProgrammed('web'))).toSatisfy(isNodePort);
  });

  it('ServiceLoadBalancerEnableThenDisableAllocatedNodePorts', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', { spec: { allocateLoadBalancerNodePorts: true } });
    expect(first(created)).toSatisfy(isNodePort);
    const updated = await namespace.updateSpec('web', (spec) => ({ ...spec, allocateLoadBalancerNodePorts: false }));
    expect(nodePorts(updated)).toEqual(nodePorts(created));
    expect(nodePorts(await namespace.untilProgrammed('web'))).toEqual(nodePorts(created));
  });

  it('ServiceLoadBalancerDisableAllocatedNodePort', async () => {
    const namespace = await cluster.namespace();
    expect(first(await namespace.create('web'))).toSatisfy(isNodePort);
    const updated = await namespace.updateSpec('web', (spec) => ({
      ...spec,
      allocateLoadBalancerNodePorts: false,
      ports: spec.ports?.map((port) => ({ ...port, nodePort: 0 })) ?? [],
    }));
    expect(nodePorts(updated)).toEqual([0]);
    expect(first(await namespace.untilProgrammed('web'))).toSatisfy(isNodePort);
  });

  it('ServiceLoadBalancerDisableAllocatedNodePorts', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', { spec: { ports: TWO_PORTS } });
    const kept = nodePorts(created)[1] ?? 0;
    const updated = await namespace.updateSpec('web', (spec) => ({
      ...spec,
      allocateLoadBalancerNodePorts: false,
      ports: spec.ports?.map((port, index) => (index === 0 ? { ...port, nodePort: 0 } : port)) ?? [],
    }));
    expect(nodePorts(updated)).toEqual([0, kept]);
    const programmed = await namespace.untilProgrammed('web');
    expect(first(programmed)).toSatisfy(isNodePort);
    expect(nodePorts(programmed)[1]).toBe(kept);
  });

  it('ServiceLoadBalancerDisableAllocatedNodePortsByPatch', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', { spec: { ports: TWO_PORTS } });
    const kept = nodePorts(created)[1] ?? 0;
    const patched = await namespace.patchStrategically('web', {
      spec: { allocateLoadBalancerNodePorts: false, ports: [{ port: 80, nodePort: null }] },
    });
    expect(nodePorts(patched)).toEqual([0, kept]);
    const programmed = await namespace.untilProgrammed('web');
    expect(first(programmed)).toSatisfy(isNodePort);
    expect(nodePorts(programmed)[1]).toBe(kept);
  });

  it('ServiceLoadBalancerDisableThenEnableAllocatedNodePorts', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { allocateLoadBalancerNodePorts: false } });
    const before = nodePorts(await namespace.untilProgrammed('web'));
    await namespace.updateSpec('web', (spec) => ({ ...spec, allocateLoadBalancerNodePorts: true }));
    const after = await namespace.untilProgrammed('web');
    expect(nodePorts(after)).toEqual(before);
  });
});

const TWO_PORTS = [
  { name: 'np-1', port: 80 },
  { name: 'np-2', port: 81 },
];

describe('loadBalancerClass', () => {
  it('ServiceLoadBalancerEnableLoadBalancerClass: a foreign class is never synced', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', { spec: { loadBalancerClass: FOREIGN_CLASS } });
    await namespace.create('ours');
    await namespace.untilProgrammed('ours');
    await stays(
      async () => expect((await namespace.get('web')).metadata.resourceVersion).toBe(created.metadata.resourceVersion),
      1_000,
    );
    expect(await namespace.events('web')).toEqual([]);
  });

  it('SetLoadBalancerClassThenUpdateLoadBalancerClass: the API server keeps the class as it is', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { loadBalancerClass: FOREIGN_CLASS } });
    const { status, message } = await refusal(namespace.patchSpec('web', { loadBalancerClass: OUR_CLASS }));
    expect(status).toBe(422);
    expect(message).toContain('may not change once set');
    await stays(async () => expect(addresses(await namespace.get('web'))).toEqual([]), 500);
  });

  it('UpdateLoadBalancerWithLoadBalancerClass: a class cannot be added, and the default provider serves the Service', async () => {
    const namespace = await cluster.namespace();
    await namespace.createClassless('web');
    const { status } = await refusal(namespace.patchSpec('web', { loadBalancerClass: FOREIGN_CLASS }));
    expect(status).toBe(422);
    const programmed = await namespace.untilProgrammed('web');
    expect(programmed.metadata.finalizers?.toSorted()).toEqual([OUR_FINALIZER, UPSTREAM_FINALIZER]);
    expect(addresses(programmed)).toHaveLength(1);
  });
});

describe('status', () => {
  it('ServiceLoadBalancerMixedProtocolSetup', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('dns', {
      spec: {
        ports: [
          { name: 'tcpport', port: 53, protocol: 'TCP' },
          { name: 'udpport', port: 53, protocol: 'UDP' },
        ],
      },
    });
    const programmed = await namespace.untilProgrammed('dns');
    expect(addresses(programmed)).toHaveLength(1);
    expect(programmed.status?.loadBalancer?.ingress?.[0]?.ports).toBeUndefined();
  });

  it('ServiceLoadBalancerIPMode: Proxy, and the address stays when a port changes', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const before = (await namespace.untilProgrammed('web')).status?.loadBalancer?.ingress;
    expect(before).toEqual([{ ip: expect.stringMatching(/^127\./), ipMode: 'Proxy' }]);
    await namespace.updateSpec('web', (spec) => ({
      ...spec,
      ports: spec.ports?.map((port) => ({ ...port, port: 443 })) ?? [],
    }));
    const after = await namespace.untilProgrammed('web');
    expect(after.status?.loadBalancer?.ingress).toEqual(before);
  });
});
