import { describe, expect, it } from 'vitest';
import { service, servicePort, type ServiceOptions } from '#test/fakes/builders';
import type { Service } from '#src/kube/wire';
import { startRig } from './start-rig.ts';

const WEB = 'default/web';

function web(options: ServiceOptions = {}): Service {
  return service({ loadBalancerClass: null, ...options });
}

let port = 30_100;
function named(name: string, options: ServiceOptions = {}): Service {
  port += 1;
  return web({
    ...options,
    metadata: { name, ...options.metadata },
    spec: { ports: [servicePort({ nodePort: port })], ...options.spec },
  });
}

const bad: ServiceOptions = { metadata: { annotations: { 'ballast.dev/algorithm': 'random' } } };

describe('a Service that asks nonsense', () => {
  it.each<[string, ServiceOptions, string, string]>([
    ['an annotation’s value', bad, 'InvalidAnnotation', 'ballast.dev/algorithm'],
    [
      'a source range',
      { spec: { loadBalancerSourceRanges: ['x'] } },
      'InvalidSourceRange',
      'spec.loadBalancerSourceRanges[0]',
    ],
    ['a protocol', { spec: { ports: [servicePort({ protocol: 'SCTP' })] } }, 'UnsupportedProtocol', 'SCTP'],
    [
      'an address',
      { metadata: { annotations: { 'ballast.dev/addresses': '198.51.100.1' } } },
      'AddressNotInPool',
      '198.51.100.1',
    ],
    [
      'a group',
      { metadata: { annotations: { 'ballast.dev/load-balancer': 'other/x' } } },
      'GroupNotAllowed',
      'other/x',
    ],
  ])('is told of %s, once, and gets no address', async (_, options, code, text) => {
    const rig = await startRig();
    rig.api.create(web(options));
    await rig.settle();
    expect(rig.condition(WEB, 'Accepted')).toBe(`False ${code}`);
    expect(rig.condition(WEB, 'Programmed')).toBe('False NotAccepted');
    expect(rig.message(WEB, 'Accepted')).toContain(text);
    expect(rig.api.must(WEB).status?.loadBalancer).toEqual({});
    expect(rig.world.list()).toEqual([]);
    expect(rig.told()).toEqual(['SyncLoadBalancerFailed']);
    await rig.settle(rig.config.resyncMs);
    await rig.restart();
    expect(rig.told()).toEqual(['SyncLoadBalancerFailed']);
  });

  it('is served as soon as it asks for something sensible', async () => {
    const rig = await startRig();
    rig.api.create(web(bad));
    await rig.settle();
    rig.api.annotate(WEB, { 'ballast.dev/algorithm': 'least-connections' });
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.condition(WEB, 'Accepted')).toBe('True Accepted');
    expect(rig.told()).toEqual(['SyncLoadBalancerFailed', 'EnsuringLoadBalancer', 'EnsuredLoadBalancer']);
  });

  it('loses our conditions when its type changes, also while no controller runs', async () => {
    for (const running of [true, false]) {
      const rig = await startRig();
      rig.api.create(web(bad));
      await rig.settle();
      if (!running) await rig.stop();
      rig.api.edit(WEB, { type: 'ClusterIP' });
      await (running ? rig.settle() : rig.restart());
      expect(rig.api.must(WEB).status).toEqual({ loadBalancer: {} });
      expect(rig.told()).toEqual(['SyncLoadBalancerFailed']);
      expect(rig.controller.keys()).toEqual([]);
    }
  });

  it('is deleted like any other', async () => {
    const rig = await startRig();
    rig.api.create(web(bad));
    await rig.settle();
    rig.api.delete(WEB);
    await rig.settle();
    expect(rig.api.get(WEB)).toBeUndefined();
    expect(rig.controller.keys()).toEqual([]);
  });

  it('delays nobody', async () => {
    const rig = await startRig({ config: { workers: 1 } });
    for (let index = 0; index < 20; index++) rig.api.create(named(`bad-${index}`, bad));
    rig.api.create(named('good'));
    await rig.settle(0);
    expect(rig.condition('default/good', 'Programmed')).toBe('True Programmed');
  });

  it('is warned of an annotation that means nothing', async () => {
    const rig = await startRig();
    rig.api.create(web({ metadata: { annotations: { 'ballast.dev/algoritm': 'x' } } }));
    await rig.settle();
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.message(WEB, 'Accepted')).toContain('did you mean ballast.dev/algorithm?');
    expect(rig.told()).toEqual(['EnsuringLoadBalancer', 'UnknownAnnotation', 'EnsuredLoadBalancer']);
    await rig.settle(rig.config.resyncMs);
    expect(rig.told()).toHaveLength(3);
  });
});

describe('a Service with more metadata than anybody reads', () => {
  it('is served, and told of a few of its mistakes', async () => {
    const unknown = Array.from({ length: 5_000 }, (_, index) => [`ballast.dev/unknown-${index}`, 'x']);
    const rig = await startRig();
    rig.api.create(web({ metadata: { annotations: Object.fromEntries(unknown) } }));
    await rig.settle();
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.message(WEB, 'Accepted').length).toBeLessThan(2_000);
    expect(rig.told().filter((reason) => reason === 'UnknownAnnotation')).toHaveLength(6);
  });
});

describe('a Service that works and then asks nonsense', () => {
  it('keeps its load balancer as it was, and says so', async () => {
    const rig = await startRig();
    rig.api.create(web());
    await rig.settle();
    rig.api.annotate(WEB, { 'ballast.dev/algorithm': 'random' });
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.api.must(WEB).status?.loadBalancer?.ingress).toMatchObject([{ ip: '192.0.2.1', ipMode: 'VIP' }]);
    expect(rig.condition(WEB, 'Accepted')).toBe('False InvalidAnnotation');
    expect(rig.message(WEB, 'Programmed')).toContain('keeps its group, address and settings');
    expect(rig.condition(WEB, 'Ready')).toBe('True HasTargets');
    rig.api.annotate(WEB, { 'ballast.dev/algorithm': undefined });
    await rig.settle();
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    rig.api.annotate(WEB, { 'ballast.dev/algorithm': 'random' });
    await rig.settle();
    rig.api.delete(WEB);
    await rig.settle();
    expect(rig.world.list()).toEqual([]);
    expect(rig.api.get(WEB)).toBeUndefined();
  });

  it('gets its status back when that is wiped meanwhile', async () => {
    const rig = await startRig();
    rig.api.create(web());
    await rig.settle();
    rig.api.annotate(WEB, { 'ballast.dev/algorithm': 'random' });
    await rig.settle();
    const { status } = rig.api.must(WEB);
    rig.api.tamper(WEB, (each) => ({ ...each, status: { loadBalancer: {} } }));
    await rig.settle();
    expect(rig.api.must(WEB).status).toEqual(status);
  });

  it('is closed when nobody can tell who may connect', async () => {
    const rig = await startRig();
    rig.api.create(web());
    await rig.settle();
    rig.api.edit(WEB, { loadBalancerSourceRanges: ['10.0.0.0/8', 'typo'] });
    await rig.settle();
    expect(rig.world.list()).toEqual([]);
    expect(rig.condition(WEB, 'Accepted')).toBe('False InvalidSourceRange');
    expect(rig.api.must(WEB).status?.loadBalancer).toEqual({});
    rig.api.edit(WEB, { loadBalancerSourceRanges: ['10.0.0.0/8'] });
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
  });
});

describe('a Service that asks for what others have', () => {
  it('gets the address as soon as it is free', async () => {
    const rig = await startRig();
    rig.api.create(named('holder'));
    await rig.settle();
    rig.api.create(named('late', { metadata: { annotations: { 'ballast.dev/addresses': '192.0.2.1' } } }));
    await rig.settle();
    expect(rig.condition('default/late', 'Accepted')).toBe('True Accepted');
    expect(rig.condition('default/late', 'Programmed')).toBe('False AddressInUse');
    expect(rig.told('default/late')).toEqual(['SyncLoadBalancerFailed']);
    rig.api.delete('default/holder');
    await rig.settle();
    expect(rig.api.must('default/late').status?.loadBalancer?.ingress).toMatchObject([{ ip: '192.0.2.1' }]);
    expect(rig.told('default/late').at(-1)).toBe('EnsuredLoadBalancer');
  });

  it('gets an address when the pool has one again', async () => {
    const rig = await startRig({ provider: { pool: ['192.0.2.1', '192.0.2.2'] } });
    for (const name of ['a', 'b', 'c', 'd']) rig.api.create(named(name));
    await rig.settle();
    const waiting = ['a', 'b', 'c', 'd'].filter(
      (name) => rig.condition(`default/${name}`, 'Programmed') === 'False AddressPoolExhausted',
    );
    expect(waiting).toEqual(['c', 'd']);
    rig.api.delete('default/a');
    rig.api.delete('default/b');
    await rig.settle();
    for (const name of waiting) expect(rig.condition(`default/${name}`, 'Programmed')).toBe('True Programmed');
  });

  it('looks again when the provider says that something was freed', async () => {
    const rig = await startRig({ provider: { pool: ['192.0.2.1'] } });
    const foreign = { kind: 'service', namespace: 'elsewhere', name: 'x' } as const;
    rig.world.change(foreign, () => ({ addresses: [{ address: '192.0.2.1', family: 'IPv4', members: [] }] }));
    rig.api.create(web());
    await rig.settle();
    expect(rig.condition(WEB, 'Programmed')).toBe('False AddressPoolExhausted');
    rig.world.change(foreign, () => ({ addresses: [] }));
    rig.provider.change(foreign);
    await rig.settle();
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });
});
