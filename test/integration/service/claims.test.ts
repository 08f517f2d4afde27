/** Which Services are ours, and that the others are not touched. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Service } from '#src/kube/wire';
import { OUR_FINALIZER, UPSTREAM_FINALIZER, addresses, condition, refusal, useCluster } from './cluster.ts';
import { startController } from './controller.ts';
import { stays } from './wait.ts';

const cluster = useCluster();
beforeAll(async () => {
  await startController(cluster, { flags: ['--load-balancer-class', 'example.com/moved=proxy'] });
});

describe('the class decides', () => {
  it('ours is served with our finalizer alone', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const { metadata } = await namespace.untilProgrammed('web');
    expect(metadata.finalizers).toEqual([OUR_FINALIZER]);
  });

  it('none is served by the default provider, with the finalizer that tools know as well', async () => {
    const namespace = await cluster.namespace();
    await namespace.createClassless('web');
    const { metadata } = await namespace.untilProgrammed('web');
    expect(metadata.finalizers?.toSorted()).toEqual([OUR_FINALIZER, UPSTREAM_FINALIZER]);
  });

  it('one that the configuration gives to our provider is served', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { loadBalancerClass: 'example.com/moved' } });
    expect(addresses(await namespace.untilProgrammed('web'))).toHaveLength(1);
  });

  it('another one is somebody else’s, also when the Service looks like ours in everything else', async () => {
    const namespace = await cluster.namespace();
    const created = await namespace.create('web', {
      finalizers: [UPSTREAM_FINALIZER],
      annotations: { 'ballast.dev/load-balancer': 'shared' },
      spec: { loadBalancerClass: 'example.com/other' },
    });
    await namespace.create('ours', { annotations: { 'ballast.dev/load-balancer': 'shared' } });
    await namespace.untilProgrammed('ours');
    await stays(async () => expect(await namespace.get('web')).toEqual(created), 500);
  });

  it('a Service that another controller has served is not taken over by a change of its ports', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { loadBalancerClass: 'example.com/other' } });
    const status = { loadBalancer: { ingress: [{ ip: '192.0.2.10' }] } };
    await cluster.plane.request('PATCH', `/api/v1/namespaces/${namespace.name}/services/web/status`, { status });
    const changed = await namespace.patchSpec('web', { ports: [{ port: 8080 }] });
    await namespace.create('ours');
    await namespace.untilProgrammed('ours');
    await stays(async () => expect(await namespace.get('web')).toEqual(changed), 500);
  });
});

describe('Services that need no load balancer are never written to', () => {
  const others: Readonly<Record<string, NonNullable<Service['spec']>>> = {
    headless: { type: 'ClusterIP', clusterIP: 'None' },
    'cluster-ip': { type: 'ClusterIP' },
    'node-port': { type: 'NodePort' },
    'external-name': { type: 'ExternalName', externalName: 'example.com', ports: [] },
  };

  it('whatever their type, and whatever annotations of ours they have', async () => {
    const namespace = await cluster.namespace();
    const created: Service[] = [];
    for (const [name, spec] of Object.entries(others)) {
      created.push(
        await namespace.create(name, { spec, annotations: { 'ballast.dev/algorithm': 'nonsense' } }),
        await namespace.create(`${name}-held`, { spec, finalizers: ['example.com/hold'] }),
      );
    }
    await namespace.create('ours');
    await namespace.untilProgrammed('ours');
    await stays(async () => {
      for (const before of created) expect(await namespace.get(before.metadata.name)).toEqual(before);
    }, 500);
    for (const { metadata } of created) expect(await namespace.events(metadata.name)).toEqual([]);
  });
});

describe('a Service without a selector', () => {
  it('is served like any other', async () => {
    const namespace = await cluster.namespace();
    await cluster.plane.request('POST', `/api/v1/namespaces/${namespace.name}/services`, {
      metadata: { name: 'manual' },
      spec: { type: 'LoadBalancer', loadBalancerClass: 'ballast.dev/proxy', ports: [{ port: 80 }] },
    });
    expect(addresses(await namespace.untilProgrammed('manual'))).toHaveLength(1);
  });
});

describe('a Service that changes hands', () => {
  it('is let go when its type changes, and may come back to another controller', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { finalizers: ['example.com/hold'] });
    await namespace.untilProgrammed('web');
    await namespace.updateSpec('web', ({ loadBalancerClass: _class, ...spec }) => ({ ...spec, type: 'ClusterIP' }));
    const released = await namespace.until(
      'web',
      'our finalizer to be gone',
      ({ metadata }) => !metadata.finalizers?.includes(OUR_FINALIZER),
    );
    expect(released.metadata.finalizers).toEqual(['example.com/hold']);
    expect(released.status?.conditions ?? []).toEqual([]);
    const foreign = await namespace.patchSpec('web', {
      type: 'LoadBalancer',
      loadBalancerClass: 'example.com/other',
    });
    await namespace.create('ours');
    await namespace.untilProgrammed('ours');
    await stays(async () => expect(await namespace.get('web')).toEqual(foreign), 500);
    await namespace.patch('web', { metadata: { finalizers: null } });
  });

  it('is released and claimed anew when type and class change at once', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const before = addresses(await namespace.untilProgrammed('web'));
    await namespace.updateSpec('web', ({ loadBalancerClass: _class, ...spec }) => ({ ...spec, type: 'NodePort' }));
    await namespace.patchSpec('web', { type: 'LoadBalancer', loadBalancerClass: 'example.com/moved' });
    const after = await namespace.untilProgrammed('web');
    expect(after.metadata.finalizers).toEqual([OUR_FINALIZER]);
    expect(addresses(after)).toHaveLength(1);
    expect(before).toHaveLength(1);
  });
});

describe('what the API server refuses by itself', () => {
  it('a headless Service of type LoadBalancer', async () => {
    const namespace = await cluster.namespace();
    const { status } = await refusal(namespace.create('web', { spec: { clusterIP: 'None' } }));
    expect(status).toBe(422);
  });
});

describe('one bad Service', () => {
  it('never delays another', async () => {
    const namespace = await cluster.namespace();
    const names = Array.from({ length: 30 }, (_, index) => `bad-${index}`);
    await Promise.all(
      names.map((name) => namespace.create(name, { annotations: { 'ballast.dev/algorithm': 'by-moonlight' } })),
    );
    await namespace.create('good');
    await namespace.untilProgrammed('good');
    for (const name of names) {
      const bad = await namespace.until(name, 'a refusal', (service) => condition(service, 'Accepted') !== undefined);
      expect(condition(bad, 'Accepted')).toMatchObject({ status: 'False', reason: 'InvalidAnnotation' });
      expect(addresses(bad)).toEqual([]);
    }
  });
});
