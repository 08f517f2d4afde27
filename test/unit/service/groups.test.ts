import { describe, expect, it } from 'vitest';
import { service, servicePort } from '#test/fakes/builders';
import type { Rig } from '#test/fakes/service-rig';
import type { Service } from '#src/kube/wire';
import { startRig } from './start-rig.ts';

interface MemberOptions {
  readonly ports?: readonly number[];
  readonly group?: string;
  readonly namespace?: string;
  /** Seconds after the first; by default as created. */
  readonly age?: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

let created = 0;

function joining(
  name: string,
  { ports = [80], group = 'shared', namespace = 'default', age, annotations }: MemberOptions = {},
): Service {
  created += 1;
  const second = String(age ?? created % 60).padStart(2, '0');
  return service({
    loadBalancerClass: null,
    metadata: {
      name,
      namespace,
      creationTimestamp: `2026-01-01T00:00:${second}Z`,
      annotations: { 'ballast.dev/load-balancer': group, ...annotations },
    },
    // NodePorts of their own, as the API server gives them.
    spec: { ports: ports.map((port) => servicePort({ port, nodePort: 30_000 + created * 10 + (port % 10) })) },
  });
}

async function group(...members: readonly Service[]): Promise<Rig> {
  created = members.length;
  const rig = await startRig();
  for (const each of members) rig.api.create(each);
  await rig.settle();
  return rig;
}

function shown(rig: Rig, name: string): unknown {
  return rig.api.get(`default/${name}`)?.status?.loadBalancer?.ingress?.map(({ ip }) => ip);
}

describe('a group', () => {
  it('shares one address by port', async () => {
    const rig = await group(joining('a'), joining('b', { ports: [443] }), joining('c', { ports: [25] }));
    expect(rig.world.list()).toHaveLength(1);
    expect(rig.world.reachable().toSorted()).toEqual(['192.0.2.1:25/TCP', '192.0.2.1:443/TCP', '192.0.2.1:80/TCP']);
    for (const name of ['a', 'b', 'c']) {
      expect(shown(rig, name)).toEqual(['192.0.2.1']);
      expect(rig.condition(`default/${name}`, 'Programmed')).toBe('True Programmed');
      expect(rig.api.must(`default/${name}`).metadata.finalizers).toContain('ballast.dev/recording');
    }
  });

  it('leaves a port to the older and says so on the younger, which loses nothing else', async () => {
    const rig = await group(joining('old', { age: 1 }), joining('young', { age: 2, ports: [80, 443] }));
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP', '192.0.2.1:443/TCP']);
    expect(rig.condition('default/old', 'Programmed')).toBe('True Programmed');
    expect(rig.condition('default/young', 'Accepted')).toBe('True Accepted');
    expect(rig.condition('default/young', 'Programmed')).toBe('False PortConflict');
    expect(rig.message('default/young', 'Programmed')).toContain('default/old already has 80/TCP');
    expect(rig.api.must('default/young').status?.loadBalancer?.ingress?.[0]?.ports).toEqual([
      { port: 80, protocol: 'TCP', error: 'ballast.dev/PortConflict' },
      { port: 443, protocol: 'TCP' },
    ]);
    expect(rig.told('default/young')).toEqual(['EnsuringLoadBalancer', 'SyncLoadBalancerFailed']);
    await rig.settle(rig.config.resyncMs);
    expect(rig.told('default/young')).toHaveLength(2);
  });

  it('gives a port to the younger when the older goes', async () => {
    const rig = await group(joining('old', { age: 1 }), joining('young', { age: 2 }));
    expect(shown(rig, 'young')).toBeUndefined();
    rig.api.delete('default/old');
    await rig.settle();
    expect(rig.api.get('default/old')).toBeUndefined();
    expect(shown(rig, 'young')).toEqual(['192.0.2.1']);
    expect(rig.condition('default/young', 'Programmed')).toBe('True Programmed');
    expect(rig.told('default/young').at(-1)).toBe('EnsuredLoadBalancer');
  });

  it('takes the port from the younger when an older Service joins', async () => {
    const rig = await group(joining('young', { age: 9 }));
    rig.api.create(joining('old', { age: 1 }));
    await rig.settle();
    expect(shown(rig, 'old')).toEqual(['192.0.2.1']);
    expect(shown(rig, 'young')).toBeUndefined();
    expect(rig.condition('default/young', 'Programmed')).toBe('False PortConflict');
  });

  it('lives on without the member that leaves, whichever it is', async () => {
    for (const leaver of ['a', 'b']) {
      const rig = await group(joining('a'), joining('b', { ports: [443] }));
      const stays = leaver === 'a' ? 'b' : 'a';
      rig.api.delete(`default/${leaver}`);
      await rig.settle();
      expect(rig.api.get(`default/${leaver}`)).toBeUndefined();
      expect(shown(rig, stays)).toEqual(['192.0.2.1']);
      expect(rig.world.reachable()).toHaveLength(1);
      expect(rig.told(`default/${stays}`)).toEqual(['EnsuringLoadBalancer', 'EnsuredLoadBalancer']);
    }
  });

  it('goes with its last member', async () => {
    const rig = await group(joining('a'), joining('b', { ports: [443] }));
    rig.api.delete('default/a');
    rig.api.edit('default/b', { type: 'ClusterIP' });
    await rig.settle();
    expect(rig.world.list()).toEqual([]);
    expect(rig.api.must('default/b').metadata.finalizers).toBeUndefined();
    expect(rig.controller.keys()).toEqual([]);
  });

  it('lets a member go to a load balancer of its own, and take it back', async () => {
    const rig = await group(joining('a'), joining('b', { ports: [443] }));
    rig.api.annotate('default/b', { 'ballast.dev/load-balancer': undefined });
    await rig.settle();
    expect(rig.world.list()).toHaveLength(2);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP', '192.0.2.2:443/TCP']);
    expect(shown(rig, 'b')).toEqual(['192.0.2.2']);
    rig.api.annotate('default/b', { 'ballast.dev/load-balancer': 'shared' });
    await rig.settle();
    expect(rig.world.list()).toHaveLength(1);
    expect(shown(rig, 'b')).toEqual(['192.0.2.1']);
  });

  it('keeps a finalizer while an earlier load balancer still holds the Service', async () => {
    const rig = await group(joining('a'));
    rig.provider.beforeStep = (step) => {
      if (step.id.name === 'shared') throw new Error('the old one cannot be removed');
    };
    rig.api.annotate('default/a', { 'ballast.dev/load-balancer': 'other' });
    await rig.settle();
    rig.api.delete('default/a');
    await rig.settle();
    expect(rig.world.list().map(({ id }) => id.name)).toEqual(['shared']);
    expect(rig.api.must('default/a').metadata.finalizers).toContain('ballast.dev/recording');
    expect(rig.condition('default/a', 'Programmed')).toMatch(/^False/);
    rig.provider.beforeStep = () => {};
    await rig.settle(10_000);
    expect(rig.world.list()).toEqual([]);
    expect(rig.api.get('default/a')).toBeUndefined();
  });

  it('finds after a restart who is still held by a group that they left', async () => {
    const rig = await group(joining('a'), joining('b', { ports: [443] }));
    await rig.stop();
    rig.api.annotate('default/b', { 'ballast.dev/load-balancer': undefined });
    rig.api.delete('default/b');
    await rig.restart();
    expect(rig.api.get('default/b')).toBeUndefined();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
  });

  it('spans namespaces only where the configuration allows it', async () => {
    const members = [
      joining('a', { namespace: 'infra', group: 'edge' }),
      joining('b', { namespace: 'shop', group: 'infra/edge', ports: [443] }),
      joining('c', { namespace: 'stranger', group: 'infra/edge', ports: [25] }),
    ];
    const rig = await startRig({ config: { allowedGroups: new Map([['infra/edge', ['shop']]]) } });
    for (const each of members) rig.api.create(each);
    await rig.settle();
    expect(rig.world.reachable().toSorted()).toEqual(['192.0.2.1:443/TCP', '192.0.2.1:80/TCP']);
    expect(rig.condition('stranger/c', 'Accepted')).toBe('False GroupNotAllowed');
    expect(rig.api.must('stranger/c').metadata.finalizers).toBeUndefined();
  });

  it('is not held up by a member that asks nonsense', async () => {
    const bad = joining('bad', { age: 1, annotations: { 'ballast.dev/algorithm': 'x' } });
    const rig = await group(bad, joining('good', { age: 2 }));
    expect(shown(rig, 'good')).toEqual(['192.0.2.1']);
    expect(rig.condition('default/bad', 'Accepted')).toBe('False InvalidAnnotation');
    rig.api.annotate('default/bad', { 'ballast.dev/algorithm': undefined });
    await rig.settle();
    expect(shown(rig, 'bad')).toEqual(['192.0.2.1']);
    expect(rig.condition('default/good', 'Programmed')).toBe('False PortConflict');
  });

  it('gives each member the families that it wants', async () => {
    const rig = await startRig();
    rig.api.create(joining('four'));
    const both = joining('both', { ports: [443] });
    rig.api.create({
      ...both,
      spec: { ...both.spec, ipFamilies: ['IPv6', 'IPv4'], ipFamilyPolicy: 'RequireDualStack' },
    });
    await rig.settle();
    expect(shown(rig, 'four')).toEqual(['192.0.2.1']);
    expect(shown(rig, 'both')).toEqual(['2001:db8::1', '192.0.2.1']);
  });
});

describe('a member that is deleted while its group is observed', () => {
  async function deletedMeanwhile(end: (gate: PromiseWithResolvers<void>) => void): Promise<Rig> {
    created = 1;
    const rig = await startRig();
    const gate = Promise.withResolvers<void>();
    let looks = 0;
    rig.provider.beforeLook = () => (looks++ === 0 ? gate.promise : undefined);
    rig.api.create(joining('a'));
    await rig.settle();
    rig.api.delete('default/a');
    await rig.settle();
    expect(rig.api.get('default/a')?.metadata.finalizers).toContain('ballast.dev/recording');
    rig.provider.beforeStep = () => expect(rig.api.get('default/a')).toBeDefined();
    end(gate);
    await rig.settle();
    return rig;
  }

  it('is held until nothing is made for it any more', async () => {
    const rig = await deletedMeanwhile((gate) => gate.resolve());
    expect(rig.provider.applied).not.toEqual([]);
    expect(rig.world.list()).toEqual([]);
    expect(rig.api.get('default/a')).toBeUndefined();
  });

  it('is let go as well when the look failed', async () => {
    const rig = await deletedMeanwhile((gate) => gate.reject(new Error('the cloud is away')));
    await rig.settle(10_000);
    expect(rig.provider.applied).toEqual([]);
    expect(rig.api.get('default/a')).toBeUndefined();
    expect(rig.controller.keys()).toEqual([]);
  });
});
