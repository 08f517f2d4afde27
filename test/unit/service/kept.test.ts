/** What works goes on working when its Service comes to ask for something that it cannot have. */
import { describe, expect, it } from 'vitest';
import { node, service, servicePort } from '#test/fakes/builders';
import type { Rig, RigOptions } from '#test/fakes/service-rig';
import type { Service } from '#src/kube/wire';
import { startRig } from './start-rig.ts';

const A = 'default/a';
const B = 'default/b';

function named(name: string, port: number, annotations: Readonly<Record<string, string>> = {}): Service {
  return service({
    loadBalancerClass: null,
    metadata: { name, creationTimestamp: `2026-01-01T00:00:${port % 60}Z`, annotations },
    spec: { ports: [servicePort({ port, nodePort: 30_000 + port })] },
  });
}

const IN_GROUP = { 'ballast.dev/load-balancer': 'shared' };

/** Two members of a group that work. */
async function group(options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(options);
  rig.api.create(named('a', 80, { ...IN_GROUP, 'ballast.dev/algorithm': 'least-connections' }));
  rig.api.create(named('b', 81, IN_GROUP));
  await rig.settle();
  forget(rig);
  return rig;
}

async function alone(options: RigOptions = {}, annotations: Readonly<Record<string, string>> = {}): Promise<Rig> {
  const rig = await startRig(options);
  rig.api.create(named('a', 80, annotations));
  await rig.settle();
  forget(rig);
  return rig;
}

function forget(rig: Rig): void {
  rig.provider.calls.length = 0;
  rig.api.writes.length = 0;
  rig.events.length = 0;
}

function targetsOf(rig: Rig, name: string): readonly string[] {
  const uid = rig.api.must(name).metadata.uid;
  return rig.world
    .list()
    .flatMap(({ listeners }) => listeners.filter(({ listener }) => listener.member === uid))
    .flatMap(({ targets }) => targets);
}

function algorithmOf(rig: Rig, name: string): unknown {
  const uid = rig.api.must(name).metadata.uid;
  const listeners = rig.world.list().flatMap((balancer) => balancer.listeners);
  return listeners.find(({ listener }) => listener.member === uid)?.config.settings;
}

/** What the status of one says that is not accepted: no condition names its ports then. */
function shown(...ports: readonly number[]): unknown {
  return [{ ip: '192.0.2.1', ipMode: 'VIP', ports: ports.map((port) => ({ port, protocol: 'TCP' })) }];
}

const BOTH = ['192.0.2.1:80/TCP', '192.0.2.1:81/TCP'];
const third = node({ metadata: { name: 'node-3' }, addresses: ['10.0.0.3'] });

describe('a member of a group that comes to ask nonsense', () => {
  it('goes on with what it asked for last, and is told so; the others take no notice', async () => {
    const rig = await group();
    const before = rig.api.must(B);
    rig.api.annotate(A, { 'ballast.dev/idle-timeout': 'soon' });
    await rig.settle();
    expect(rig.provider.applied).toEqual([]);
    expect(rig.world.reachable()).toEqual(BOTH);
    expect(rig.api.must(A).status?.loadBalancer?.ingress).toEqual(shown(80));
    expect(rig.condition(A, 'Accepted')).toBe('False InvalidAnnotation');
    expect(rig.condition(A, 'Programmed')).toBe('False NotAccepted');
    expect(rig.message(A, 'Programmed')).toContain('keeps its group, address and settings. It serves at 192.0.2.1.');
    expect(rig.condition(A, 'Ready')).toBe('True HasTargets');
    expect(rig.told(A)).toEqual(['SyncLoadBalancerFailed']);
    expect(rig.api.must(B)).toEqual(before);
    expect(rig.told(B)).toEqual([]);
    await rig.settle(rig.config.resyncMs);
    expect(rig.told(A)).toHaveLength(1);
    rig.api.annotate(A, { 'ballast.dev/idle-timeout': '30' });
    await rig.settle();
    expect(rig.condition(A, 'Programmed')).toBe('True Programmed');
    expect(algorithmOf(rig, A)).toEqual({ algorithm: 'least-connections', idleTimeoutSeconds: 30 });
  });

  it('stays in its group when the group that it names makes no sense, or is not for it', async () => {
    for (const group of ['Not A Name', 'elsewhere/shared']) {
      const rig = await startRig();
      rig.api.create(named('a', 80, IN_GROUP));
      rig.api.create(named('b', 81, IN_GROUP));
      await rig.settle();
      const before = rig.api.must(B);
      forget(rig);
      rig.api.annotate(A, { 'ballast.dev/load-balancer': group });
      await rig.settle(rig.config.resyncMs);
      expect(rig.provider.applied).toEqual([]);
      expect(rig.world.reachable()).toEqual(BOTH);
      expect(rig.condition(A, 'Accepted')).toMatch(/^False (InvalidAnnotation|GroupNotAllowed)$/);
      expect(rig.api.must(A).status?.loadBalancer?.ingress).toEqual(shown(80));
      expect(rig.told(A)).toEqual(['SyncLoadBalancerFailed']);
      expect(rig.api.must(B)).toEqual(before);
      const decisions = await rig.controller.explainFor(A, new AbortController().signal);
      expect(decisions?.find(({ verdict }) => verdict === 'no')?.text).toMatch(
        /^(InvalidAnnotation|GroupNotAllowed): /,
      );
      expect(decisions?.map(({ text }) => text)).toContain('Nothing is left to do.');
      // What is outside outlives the process, and so does the membership.
      await rig.restart();
      expect(rig.world.reachable().toSorted()).toEqual(BOTH);
      rig.api.annotate(A, { 'ballast.dev/load-balancer': 'other' });
      await rig.settle();
      expect(rig.world.reachable().toSorted()).toEqual(['192.0.2.1:81/TCP', '192.0.2.2:80/TCP']);
      expect(rig.condition(A, 'Programmed')).toBe('True Programmed');
      rig.api.delete(A);
      rig.api.delete(B);
      await rig.settle();
      expect(rig.world.list()).toEqual([]);
      expect(rig.api.list()).toEqual([]);
    }
  });

  it('keeps its very settings, also when the group changes around it', async () => {
    const rig = await group();
    rig.api.annotate(A, { 'ballast.dev/algorithm': 'random' });
    await rig.settle();
    rig.api.delete(B);
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    rig.api.create(named('c', 82, IN_GROUP));
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP', '192.0.2.1:82/TCP']);
    expect(algorithmOf(rig, A)).toEqual({ algorithm: 'least-connections' });
  });

  it('keeps its port from a younger one that asks for it', async () => {
    const rig = await group();
    rig.api.annotate(A, { 'ballast.dev/algorithm': 'random' });
    await rig.settle();
    rig.api.create(
      service({
        ...named('c', 80, IN_GROUP),
        loadBalancerClass: null,
        spec: { ports: [servicePort({ port: 80, nodePort: 30_999 })] },
        metadata: { ...named('c', 80, IN_GROUP).metadata, creationTimestamp: '2026-02-01T00:00:00Z' },
      }),
    );
    await rig.settle();
    expect(rig.condition('default/c', 'Programmed')).toContain('PortConflict');
    expect(rig.world.reachable()).toEqual(BOTH);
  });

  it('follows the nodes, and who may connect', async () => {
    for (const start of [group, alone]) {
      const rig = await start();
      rig.api.annotate(A, { 'ballast.dev/algorithm': 'random' });
      await rig.settle();
      rig.putNode(third);
      rig.api.edit(A, { loadBalancerSourceRanges: ['192.0.2.0/24'] });
      await rig.settle();
      expect(targetsOf(rig, A)).toHaveLength(3);
      const [listener] = rig.world.list().flatMap(({ listeners }) => listeners);
      expect(listener?.config.sourceRanges).toEqual(['192.0.2.0/24']);
      expect(rig.told(A)).toEqual(['SyncLoadBalancerFailed']);
    }
  });

  it('is closed when nobody can tell who may connect', async () => {
    const rig = await group();
    rig.api.annotate(A, { 'ballast.dev/algorithm': 'random' });
    rig.api.edit(A, { loadBalancerSourceRanges: ['nonsense'] });
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:81/TCP']);
  });

  it('is let go like any other', async () => {
    const rig = await group();
    rig.api.annotate(A, { 'ballast.dev/algorithm': 'random' });
    await rig.settle();
    rig.api.delete(A);
    await rig.settle();
    expect(rig.api.get(A)).toBeUndefined();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:81/TCP']);
    rig.api.create(named('a', 80, { ...IN_GROUP, 'ballast.dev/algorithm': 'random' }));
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:81/TCP']);
    expect(rig.api.must(A).status?.loadBalancer).toEqual({});
  });

  it('is served by the next process, too, as far as it makes sense', async () => {
    for (const inProcess of [false, true]) {
      const rig = await group({ provider: { capabilities: { inProcess } } });
      rig.api.annotate(A, { 'ballast.dev/algorithm': 'random' });
      await rig.settle();
      await rig.stop();
      // What is in a process goes with it.
      if (inProcess) {
        for (const { id } of rig.world.list()) rig.world.change(id, () => ({ addresses: [], listeners: [] }));
      }
      await rig.restart();
      expect(rig.world.reachable().toSorted()).toEqual(BOTH);
      expect(rig.condition(A, 'Accepted')).toBe('False InvalidAnnotation');
      expect(rig.api.must(A).status?.loadBalancer?.ingress).toEqual(shown(80));
    }
  });

  it('that was never served gets nothing', async () => {
    const rig = await group();
    rig.api.create(named('c', 82, { ...IN_GROUP, 'ballast.dev/algorithm': 'random' }));
    await rig.settle();
    expect(rig.world.reachable()).toEqual(BOTH);
    expect(rig.api.must('default/c').status?.loadBalancer).toEqual({});
    await rig.restart();
    expect(rig.world.reachable()).toEqual(BOTH);
  });
});

describe('an edit that asks for an address that cannot be had', () => {
  const cases = [
    ['is another’s', '192.0.2.9', 'AddressInUse', 'True Accepted', 'False AddressInUse'],
    ['is not there', '198.51.100.1', 'AddressNotInPool', 'False AddressNotInPool', 'False NotAccepted'],
  ] as const;
  const field = 'metadata.annotations[ballast.dev/addresses]: ';

  for (const [what, address, code, accepted, programmed] of cases) {
    it(`leaves the Service its own when that ${what}, and says so once`, async () => {
      const rig = await alone();
      rig.api.create(named('holder', 90, { 'ballast.dev/addresses': '192.0.2.9' }));
      await rig.settle();
      forget(rig);
      rig.api.annotate(A, { 'ballast.dev/addresses': address });
      await rig.settle();
      expect(rig.provider.applied).toEqual([]);
      expect(rig.world.reachable()).toContain('192.0.2.1:80/TCP');
      expect(rig.api.must(A).status?.loadBalancer?.ingress).toEqual(shown(80));
      expect(rig.condition(A, 'Accepted')).toBe(accepted);
      expect(rig.condition(A, 'Programmed')).toBe(programmed);
      expect(rig.condition(A, 'Ready')).toBe('True HasTargets');
      expect(rig.message(A, code === 'AddressInUse' ? 'Programmed' : 'Accepted')).toContain(`${field}${address} `);
      expect(rig.message(A, 'Programmed')).toContain('It serves at 192.0.2.1.');
      await rig.settle(rig.config.resyncMs);
      expect(rig.told(A)).toEqual(['SyncLoadBalancerFailed']);
      // All else that it asks for counts.
      rig.api.edit(A, { ports: [servicePort({ port: 8080, nodePort: 30_080 })] });
      await rig.settle();
      expect(rig.world.reachable()).toContain('192.0.2.1:8080/TCP');
      rig.api.annotate(A, { 'ballast.dev/addresses': undefined });
      await rig.settle();
      expect(rig.condition(A, 'Programmed')).toBe('True Programmed');
    });

    it(`does so for a member of a group and after a restart, when that ${what}`, async () => {
      const rig = await group({ provider: { capabilities: { inProcess: true } } });
      rig.api.create(named('holder', 90, { 'ballast.dev/addresses': '192.0.2.9' }));
      await rig.settle();
      rig.api.annotate(B, { 'ballast.dev/addresses': address });
      await rig.settle();
      expect(rig.world.reachable()).toEqual(expect.arrayContaining(BOTH));
      await rig.stop();
      for (const { id } of rig.world.list()) rig.world.change(id, () => ({ addresses: [], listeners: [] }));
      await rig.restart();
      expect(rig.world.reachable()).toEqual(expect.arrayContaining(BOTH));
      expect(rig.condition(B, 'Programmed')).toBe(programmed);
      expect(rig.condition(A, 'Programmed')).toBe('True Programmed');
    });
  }

  it('takes the address over as soon as it is free', async () => {
    const rig = await alone();
    rig.api.create(named('holder', 90, { 'ballast.dev/addresses': '192.0.2.9' }));
    await rig.settle();
    rig.api.annotate(A, { 'ballast.dev/addresses': '192.0.2.9' });
    await rig.settle();
    rig.api.delete('default/holder');
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.9:80/TCP']);
    expect(rig.condition(A, 'Programmed')).toBe('True Programmed');
  });

  it('leaves a member its listeners when an older one has asked for another', async () => {
    const rig = await group();
    rig.api.annotate(A, { 'ballast.dev/addresses': '192.0.2.1' });
    await rig.settle();
    rig.api.annotate(B, { 'ballast.dev/addresses': '192.0.2.5' });
    await rig.settle();
    expect(rig.world.reachable()).toEqual(BOTH);
    expect(rig.condition(B, 'Accepted')).toBe('False InvalidAnnotation');
    expect(rig.api.must(B).status?.loadBalancer?.ingress).toEqual(shown(81));
  });

  it('says which field asks for it', async () => {
    const rig = await startRig();
    rig.api.create(
      service({ loadBalancerClass: null, metadata: { name: 'a' }, spec: { loadBalancerIP: '198.51.100.1' } }),
    );
    await rig.settle();
    expect(rig.message(A, 'Accepted')).toMatch(/^spec\.loadBalancerIP: 198\.51\.100\.1 /);
  });
});
