/** Objects that lack everything that may be missing, families of every kind, quick successions, and events that nobody takes. */
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { serviceEvents } from '#src/cli/controller/events';
import { EventRecorder } from '#src/kube/events';
import { registerKubeMetrics } from '#src/kube/metrics';
import type { Service } from '#src/kube/wire';
import { endpointSlice, node, service, servicePort } from '#test/fakes/builders';
import { silentLog } from '#test/fakes/log';
import { startRig } from './start-rig.ts';

const WEB = 'default/web';

function named(name: string, port: number): Service {
  return service({
    loadBalancerClass: null,
    metadata: { name },
    spec: { ports: [servicePort({ port, nodePort: 30_000 + port })] },
  });
}

describe('events that cannot be written', () => {
  it('delay nobody: what does not fit into the queue is dropped and counted', async () => {
    const metrics = registerKubeMetrics(new Registry());
    const hangs = (): Promise<never> => new Promise(() => {});
    const client = { create: hangs, patch: hangs };
    const recorder = new EventRecorder({
      client,
      log: silentLog,
      metrics,
      instance: 'test',
      queueSize: 5,
      fence: () => {},
    });
    const stop = new AbortController();
    void recorder.run(stop.signal);
    const rig = await startRig({ events: serviceEvents(recorder), provider: { pool: many(30) } });
    for (let port = 1; port <= 30; port++) rig.api.create(named(`s${port}`, port));
    await rig.settle();
    for (let port = 1; port <= 30; port++)
      expect(rig.condition(`default/s${port}`, 'Programmed')).toBe('True Programmed');
    // Two of each: that it is being made, and that it is made.
    const { values } = await metrics.eventsDropped.get();
    expect(values.map(({ labels }) => labels.cause)).toEqual(['queue_full']);
    expect(values[0]?.value).toBeGreaterThanOrEqual(60 - 5);
    for (const { name } of rig.api.list().map(({ metadata }) => metadata)) rig.api.delete(`default/${name}`);
    await rig.settle();
    expect(rig.api.list()).toEqual([]);
    stop.abort();
  });
});

function many(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `192.0.2.${index + 1}`);
}

describe('objects without what may be missing', () => {
  it('are taken for what they say, and stand in nobody’s way', async () => {
    const rig = await startRig({ nodes: [] });
    const bare = { uid: 'u', resourceVersion: '1' };
    rig.nodes.put({ metadata: { ...bare, name: 'bare' } });
    rig.nodes.put({ metadata: { ...bare, name: 'empty' }, spec: {}, status: {} });
    rig.putNode(node());
    const { endpoints: _, ports: __, ...slice } = endpointSlice({ metadata: { name: 'bare' } });
    rig.putSlice(endpointSlice());
    rig.slices.put({ ...slice, endpoints: [] });
    rig.api.create({ metadata: { ...bare, name: 'nothing', namespace: 'default', uid: 'u1' } });
    rig.api.create({
      metadata: { ...bare, name: 'portless', namespace: 'default', uid: 'u2' },
      spec: { type: 'LoadBalancer' },
    });
    rig.api.create({
      metadata: { ...bare, name: 'web', namespace: 'default', uid: 'u3' },
      spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports: [{ port: 80 }] },
    });
    await rig.settle();
    expect(rig.condition('default/nothing', 'Accepted')).toBeUndefined();
    expect(rig.condition('default/portless', 'Accepted')).toBe('False NoPorts');
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.condition(WEB, 'Ready')).toBe('True HasTargets');
    for (const name of ['nothing', 'portless', 'web']) {
      expect(await rig.controller.explainFor(`default/${name}`, new AbortController().signal)).not.toEqual([]);
      rig.api.delete(`default/${name}`);
    }
    await rig.settle();
    expect(rig.api.list()).toEqual([]);
    expect(rig.world.list()).toEqual([]);
  });
});

describe('families', () => {
  const ipv6 = { ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack' };
  const both = { ipFamilies: ['IPv6', 'IPv4'], ipFamilyPolicy: 'RequireDualStack' };
  const nodes = (...addresses: readonly string[]): Parameters<typeof startRig>[0] => ({
    nodes: [node({ addresses })],
  });

  it.each([
    ['an IPv6-only cluster', nodes('fd00::1'), ipv6, ['2001:db8::1'], ['fd00::1:30080']],
    [
      'a dual-stack one',
      nodes('10.0.0.1', 'fd00::1'),
      both,
      ['2001:db8::1', '192.0.2.1'],
      ['10.0.0.1:30080', 'fd00::1:30080'],
    ],
  ] as const)('are those of %s', async (_, options, spec, addresses, targets) => {
    const rig = await startRig(options);
    rig.api.create(service({ loadBalancerClass: null, spec }));
    await rig.settle();
    expect(rig.api.must(WEB).status?.loadBalancer?.ingress?.map(({ ip }) => ip)).toEqual(addresses);
    expect(rig.world.list().flatMap(({ listeners }) => listeners.flatMap((each) => each.targets))).toEqual(targets);
    expect(rig.condition(WEB, 'Ready')).toBe('True HasTargets');
  });
});

describe('a Service that is deleted and made again fifty times', () => {
  for (const [how, watchIsSlow, pauseMs] of [
    ['as fast as the watch brings it', false, 0],
    ['in one breath of the watch', true, 0],
    ['while each is being made', false, 50],
  ] as const) {
    it(`is served once in the end, ${how}`, async () => {
      const rig = await startRig();
      rig.api.watchIsSlow = watchIsSlow;
      for (let round = 1; round <= 50; round++) {
        rig.api.create({ ...named('web', round), metadata: { ...named('web', round).metadata, uid: `uid-${round}` } });
        if (pauseMs > 0) await rig.settle(pauseMs);
        if (round === 50) break;
        rig.api.delete(WEB);
        for (let wait = 0; rig.api.get(WEB) && wait < 20; wait++) await rig.settle(pauseMs);
      }
      rig.api.watchIsSlow = false;
      rig.api.flush();
      await rig.settle(5_000);
      expect(rig.world.reachable()).toEqual(['192.0.2.1:50/TCP']);
      expect(rig.api.must(WEB).metadata.uid).toBe('uid-50');
      expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
      expect(rig.world.list().flatMap(({ listeners }) => listeners.map(({ listener }) => listener.member))).toEqual([
        'uid-50',
      ]);
      expect(rig.controller.keys()).toHaveLength(1);
    });
  }
});
