/** Whoever asks nonsense goes on with its earlier wishes, and what the cluster does with the Service counts at once. */
import { describe, expect, it } from 'vitest';
import { endpointSlice, node, service, servicePort } from '#test/fakes/builders';
import type { Rig, RigOptions } from '#test/fakes/service-rig';
import type { Service } from '#src/kube/wire';
import { startRig } from './start-rig.ts';

const A = 'default/a';
const BAD = { 'ballast.dev/idle-timeout': 'soon' };
const IN_GROUP = { 'ballast.dev/load-balancer': 'shared' };
const HTTP = servicePort({ port: 80, nodePort: 30_080 });
const HTTPS = servicePort({ name: 'https', port: 443, nodePort: 30_443 });

function web(spec: Service['spec'] = {}, annotations: Readonly<Record<string, string>> = {}): Service {
  return service({ loadBalancerClass: null, metadata: { name: 'a', annotations }, spec: { ports: [HTTP], ...spec } });
}

/** A Service that works and then asks nonsense. */
async function kept(made: Service, options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(options);
  rig.api.create(made);
  await rig.settle();
  expect(rig.condition(A, 'Programmed')).toBe('True Programmed');
  rig.api.annotate(A, BAD);
  await rig.settle();
  expect(rig.condition(A, 'Accepted')).toBe('False InvalidAnnotation');
  return rig;
}

function listenersOf(rig: Rig): readonly (readonly [port: number, nodePort: number | undefined])[] {
  return rig.world
    .list()
    .flatMap(({ listeners }) => listeners.map(({ listener: { port, nodePort } }) => [port, nodePort]));
}

function configOf(rig: Rig): object | undefined {
  return rig.world.list()[0]?.listeners[0]?.config;
}

function targetsOf(rig: Rig): readonly string[] {
  return rig.world.list().flatMap(({ listeners }) => listeners.flatMap(({ targets }) => targets));
}

describe('a Service that asks nonsense', () => {
  it('lets go of a port that it gives up, whose NodePort may be another’s', async () => {
    const rig = await kept(web({ ports: [HTTP, HTTPS] }));
    rig.api.edit(A, { ports: [HTTP] });
    await rig.settle();
    expect(listenersOf(rig)).toEqual([[80, 30_080]]);
    expect(rig.condition(A, 'Ready')).toBe('True HasTargets');
  });

  it('sends traffic to the NodePort that its port has now', async () => {
    const rig = await kept(web());
    rig.api.edit(A, { ports: [servicePort({ port: 80, nodePort: 31_111 })] });
    await rig.settle();
    expect(listenersOf(rig)).toEqual([[80, 31_111]]);
  });

  it('has a new port served', async () => {
    const rig = await kept(web());
    rig.api.edit(A, { ports: [HTTP, HTTPS] });
    await rig.settle();
    expect(listenersOf(rig)).toEqual([
      [80, 30_080],
      [443, 30_443],
    ]);
  });

  it('gets a NodePort for a new port like any other, and its key does not fail for want of it', async () => {
    const rig = await kept(web({ allocateLoadBalancerNodePorts: false }));
    rig.api.edit(A, { ports: [HTTP, servicePort({ name: 'https', port: 443, nodePort: 0 })] });
    await rig.settle(60_000);
    expect(rig.api.must(A).spec?.ports?.[1]?.nodePort).toBeGreaterThan(0);
    expect(listenersOf(rig).map(([port]) => port)).toEqual([80, 443]);
    expect(await outcomes(rig, 'retryable')).toBe(0);
  });

  it('gets none when it was never served, and its key does not fail either', async () => {
    const rig = await startRig();
    rig.api.create(web({ ports: [servicePort({ port: 80, nodePort: 0 })] }, BAD));
    await rig.settle(60_000);
    expect(rig.api.must(A).spec?.ports?.[0]?.nodePort).toBe(0);
    expect(rig.condition(A, 'Accepted')).toBe('False InvalidAnnotation');
    expect(await outcomes(rig, 'retryable')).toBe(0);
  });

  it('follows externalTrafficPolicy, which kube-proxy obeys at once, and then its pods', async () => {
    const rig = await startRig();
    const podOn = (nodeName: string): void => rig.putSlice(endpointSlice({ service: 'a', endpoints: [{ nodeName }] }));
    podOn('node-1');
    rig.api.create(web());
    await rig.settle();
    rig.api.annotate(A, BAD);
    rig.api.edit(A, { externalTrafficPolicy: 'Local', healthCheckNodePort: 31_234 });
    await rig.settle();
    expect(configOf(rig)).toMatchObject({ trafficPolicy: 'Local', healthCheckNodePort: 31_234 });
    expect(targetsOf(rig)).toEqual(['10.0.0.1:30080']);
    podOn('node-2');
    await rig.settle();
    expect(targetsOf(rig)).toEqual(['10.0.0.2:30080']);
    rig.api.edit(A, { externalTrafficPolicy: 'Cluster', healthCheckNodePort: 0 });
    await rig.settle();
    expect(configOf(rig)).toMatchObject({ trafficPolicy: 'Cluster', healthCheckNodePort: undefined });
    expect(targetsOf(rig)).toEqual(['10.0.0.1:30080', '10.0.0.2:30080']);
  });

  for (const [what, group] of [
    ['alone', {}],
    ['in a group', IN_GROUP],
  ] as const) {
    it(`is followed by a process that was not there, too: nodes, and who may connect (${what})`, async () => {
      const rig = await kept(web({ loadBalancerSourceRanges: ['0.0.0.0/0'] }, group));
      await rig.restart();
      rig.api.edit(A, { loadBalancerSourceRanges: ['192.0.2.0/24'] });
      rig.putNode(node({ metadata: { name: 'node-3' }, addresses: ['10.0.0.3'] }));
      await rig.settle();
      expect(configOf(rig)).toMatchObject({ sourceRanges: ['192.0.2.0/24'] });
      expect(targetsOf(rig)).toHaveLength(3);
      expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    });
  }

  it('does not come by an address that it may not ask for when the controller starts anew', async () => {
    const rig = await startRig({ config: { addressGrants: [] } });
    rig.api.create(web({}, IN_GROUP));
    await rig.settle();
    rig.api.annotate(A, { 'ballast.dev/addresses': '192.0.2.9' });
    await rig.settle();
    expect(rig.condition(A, 'Accepted')).toBe('False AddressNotAllowed');
    await rig.restart();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.condition(A, 'Accepted')).toBe('False AddressNotAllowed');
  });
});

/** How many reconciles came to this outcome. */
async function outcomes(rig: Rig, outcome: string): Promise<number> {
  const metrics = await rig.registry.getMetricsAsJSON();
  const values = metrics.filter(({ name }) => name.endsWith('reconcile_total')).flatMap((metric) => metric.values);
  expect(values.length).toBeGreaterThan(0);
  return values.filter(({ labels }) => labels['outcome'] === outcome).reduce((sum, { value }) => sum + value, 0);
}
