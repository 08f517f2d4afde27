/**
 * The API-level halves of upstream's e2e cases on source ranges, session affinity and `externalTrafficPolicy: Local`:
 * what the API server allocates and frees, and that the controller takes every change without giving the address away.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Service } from '#src/kube/wire';
import { endpointSlice } from '#test/fakes/builders';
import { addresses, condition, nodePorts, useCluster, type Namespace } from './cluster.ts';
import { startController } from './controller.ts';

const cluster = useCluster();
beforeAll(async () => {
  for (const number of [1, 2, 3]) {
    await cluster.createNode({
      metadata: { name: `node-${number}` },
      status: { addresses: [{ type: 'InternalIP', address: `127.2.0.${number}` }] },
    });
  }
  await startController(cluster);
});

/** Makes the change, waits for the step that the words describe, and returns the Service; its address must have stayed. */
async function change(namespace: Namespace, spec: object, words: RegExp): Promise<Service> {
  const before = addresses(await namespace.untilProgrammed('web'));
  const steps = namespace.steps('web').filter((step) => words.test(step)).length;
  await namespace.patchSpec('web', spec);
  await namespace.untilSteps('web', words, steps + 1);
  const after = await namespace.untilProgrammed('web');
  expect(addresses(after)).toEqual(before);
  return after;
}

describe('should only allow access from service loadbalancer source ranges (upstream e2e)', () => {
  it('takes ranges on, changes them and drops them', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const listed = [['192.0.2.1/32', '192.0.2.2/32'], ['0.0.0.0/1', '128.0.0.0/1'], ['255.0.0.0/32']];
    for (const ranges of listed) {
      const { spec } = await change(namespace, { loadBalancerSourceRanges: ranges }, /source ranges/);
      expect(spec?.loadBalancerSourceRanges).toEqual(ranges);
    }
    const { spec } = await change(namespace, { loadBalancerSourceRanges: null }, /source ranges/);
    expect(spec?.loadBalancerSourceRanges).toBeUndefined();
  });
});

describe.each(['Cluster', 'Local'])('session affinity with policy %s (upstream e2e)', (externalTrafficPolicy) => {
  it('is there from the start', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { externalTrafficPolicy, sessionAffinity: 'ClientIP' } });
    const service = await namespace.untilProgrammed('web');
    expect(service.spec?.sessionAffinityConfig?.clientIP?.timeoutSeconds).toBe(10_800);
  });

  it('is switched on and off', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { externalTrafficPolicy } });
    for (const sessionAffinity of ['ClientIP', 'None', 'ClientIP']) {
      const service = await change(namespace, { sessionAffinity }, /session affinity/);
      expect(service.spec?.sessionAffinity).toBe(sessionAffinity);
    }
  });
});

const TARGETS = /^Send traffic/;

describe('externalTrafficPolicy: Local (upstream e2e)', () => {
  it('has a health check NodePort from the API server for as long as it is Local', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { externalTrafficPolicy: 'Local' } });
    const local = await namespace.untilProgrammed('web');
    const checkPort = local.spec?.healthCheckNodePort ?? 0;
    expect(checkPort).toBeGreaterThan(0);
    expect(nodePorts(local)).not.toContain(checkPort);

    const everywhere = await change(namespace, { externalTrafficPolicy: 'Cluster' }, TARGETS);
    expect(everywhere.spec?.healthCheckNodePort ?? 0).toBe(0);
    const other = await cluster.namespace();
    await other.create('next', { spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: checkPort } });
    expect((await other.untilProgrammed('next')).spec?.healthCheckNodePort).toBe(checkPort);

    const again = await change(namespace, { externalTrafficPolicy: 'Local' }, TARGETS);
    expect(again.spec?.healthCheckNodePort).toBeGreaterThan(0);
    expect(again.spec?.healthCheckNodePort).not.toBe(checkPort);
  });

  it('frees the health check NodePort when the Service is deleted', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { externalTrafficPolicy: 'Local' } });
    const checkPort = (await namespace.untilProgrammed('web')).spec?.healthCheckNodePort ?? 0;
    await namespace.delete('web');
    await namespace.untilGone('web');
    const reused = await namespace.create('again', {
      spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: checkPort },
    });
    expect(reused.spec?.healthCheckNodePort).toBe(checkPort);
  });

  it('follows the endpoints: none, on one node, moved to another, gone', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { externalTrafficPolicy: 'Local' } });
    const readyBecause = (reason: string): Promise<unknown> =>
      namespace.until('web', `Ready to say ${reason}`, (service) => condition(service, 'Ready')?.reason === reason);
    await readyBecause('NoLocalEndpoints');
    const slice = endpointSlice({
      metadata: { name: 'web-1' },
      service: 'web',
      endpoints: [{ address: '10.244.1.10', nodeName: 'node-1' }],
    });
    await namespace.createSlice(slice);
    // Nothing answers on the health check port of these nodes.
    await readyBecause('NoHealthyTargets');
    const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace.name}/endpointslices/web-1`;
    const moved = { addresses: ['10.244.2.10'], nodeName: 'node-2', conditions: { ready: true } };
    await cluster.plane.request('PATCH', path, { endpoints: [moved] });
    await readyBecause('NoHealthyTargets');
    await cluster.plane.request('DELETE', path);
    await readyBecause('NoLocalEndpoints');
    expect(addresses(await namespace.get('web'))).toHaveLength(1);
  });

  it('does not write to a Service with policy Cluster when its endpoints change', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.create('local', { spec: { externalTrafficPolicy: 'Local' } });
    await namespace.until('web', 'an answer of its nodes', (s) => condition(s, 'Ready')?.reason === 'NoHealthyTargets');
    const before = await namespace.get('web');
    for (const service of ['web', 'local']) {
      await namespace.createSlice(endpointSlice({ metadata: { name: `${service}-1` }, service }));
    }
    await namespace.until('local', 'its endpoint', (s) => condition(s, 'Ready')?.reason === 'NoHealthyTargets');
    expect(await namespace.get('web')).toEqual(before);
  });
});

describe('nodes', () => {
  it('that come and go change no Service’s status as long as the answer stays the same', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.until('web', 'an answer of its nodes', (s) => condition(s, 'Ready')?.reason === 'NoHealthyTargets');
    const before = await namespace.get('web');
    await cluster.createNode({
      metadata: { name: 'passing' },
      status: { addresses: [{ type: 'InternalIP', address: '127.2.0.99' }] },
    });
    await cluster.plane.request('DELETE', '/api/v1/nodes/passing');
    await namespace.create('later');
    await namespace.untilProgrammed('later');
    expect(await namespace.get('web')).toEqual(before);
  });
});
