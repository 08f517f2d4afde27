import { describe, expect, it } from 'vitest';
import { service, servicePort } from '#test/fakes/builders';
import { Rig } from '#test/fakes/service-rig';
import type { Service } from '#src/kube/wire';
import { startRig } from './start-rig.ts';

const WEB = 'default/web';
const classless = service({ loadBalancerClass: null });
const classed = service({ loadBalancerClass: 'ballast.dev/recording' });
const OURS = 'ballast.dev/recording';
const UPSTREAM = 'service.kubernetes.io/load-balancer-cleanup';

/** A load balancer Service `default/web` that works. */
async function working(first: Service = classless): Promise<Rig> {
  const rig = await startRig();
  rig.api.create(first);
  await rig.settle();
  expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
  rig.api.writes.length = 0;
  rig.events.length = 0;
  rig.provider.calls.length = 0;
  return rig;
}

describe('a new Service', () => {
  it('gets finalizers, an address and conditions, with two writes and no echo', async () => {
    const rig = await startRig();
    rig.api.create(classless);
    await rig.settle();
    const web = rig.api.must(WEB);
    expect(web.metadata.finalizers).toEqual([OURS, UPSTREAM]);
    expect(web.status?.loadBalancer).toEqual({ ingress: [{ ip: '192.0.2.1', ipMode: 'VIP' }] });
    expect(rig.condition(WEB, 'Accepted')).toBe('True Accepted');
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.condition(WEB, 'Ready')).toBe('True HasTargets');
    expect(rig.told()).toEqual(['EnsuringLoadBalancer', 'EnsuredLoadBalancer']);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.api.writes.map(({ subresource }) => subresource)).toEqual(['status', 'status']);
    expect(rig.provider.calls.filter((call) => call.startsWith('observe'))).toHaveLength(2);
  });

  it('has its finalizer before anything is made outside', async () => {
    const rig = await startRig();
    const finalizers: unknown[] = [];
    rig.provider.beforeStep = () => void finalizers.push(rig.api.must(WEB).metadata.finalizers);
    rig.api.create(classless);
    await rig.settle();
    expect(finalizers).toEqual([
      [OURS, UPSTREAM],
      [OURS, UPSTREAM],
    ]);
  });

  it('with a class gets our finalizer only', async () => {
    const rig = await startRig();
    rig.api.create(classed);
    await rig.settle();
    expect(rig.api.must(WEB).metadata.finalizers).toEqual([OURS]);
  });

  it('keeps the finalizers and conditions of others', async () => {
    const foreign = {
      type: 'example.com/X',
      status: 'True',
      reason: 'X',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    const rig = await startRig();
    rig.api.create(
      service({
        loadBalancerClass: null,
        metadata: { finalizers: ['example.com/x'] },
        status: { loadBalancer: {}, conditions: [foreign] },
      }),
    );
    await rig.settle();
    expect(rig.api.must(WEB).metadata.finalizers).toEqual(['example.com/x', OURS, UPSTREAM]);
    expect(rig.api.must(WEB).status?.conditions?.[0]).toEqual(foreign);
    rig.api.edit(WEB, { type: 'ClusterIP' });
    await rig.settle();
    expect(rig.api.must(WEB).metadata.finalizers).toEqual(['example.com/x']);
    expect(rig.api.must(WEB).status?.conditions).toEqual([foreign]);
  });

  it('of a provider whose state dies with the process needs one write in all', async () => {
    const rig = await startRig({ provider: { capabilities: { inProcess: true } } });
    rig.api.create(classless);
    await rig.settle();
    expect(rig.api.writes).toHaveLength(1);
    expect(rig.api.must(WEB).metadata.finalizers).toEqual([OURS, UPSTREAM]);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });
});

describe('a Service that is not ours', () => {
  it.each<[string, Service]>([
    ['of a foreign class', service({ loadBalancerClass: 'example.com/other' })],
    ['of type ClusterIP', service({ spec: { type: 'ClusterIP' } })],
    ['of type NodePort', service({ spec: { type: 'NodePort' } })],
    ['of type ExternalName', service({ spec: { type: 'ExternalName', externalName: 'example.com' } })],
    ['that is headless', service({ loadBalancerClass: null, spec: { clusterIP: 'None' } })],
    [
      'with the finalizer of another provider',
      service({ spec: { type: 'ClusterIP' }, metadata: { finalizers: ['ballast.dev/aws'] } }),
    ],
    ['with upstream’s finalizer only', service({ spec: { type: 'ClusterIP' }, metadata: { finalizers: [UPSTREAM] } })],
  ])('%s is never touched', async (_, foreign) => {
    const rig = await startRig();
    rig.api.create(foreign);
    await rig.settle(1_000_000);
    rig.api.annotate(WEB, { 'ballast.dev/algorithm': 'round-robin' });
    await rig.settle();
    expect(rig.api.writes).toEqual([]);
    expect(rig.events).toEqual([]);
    expect(rig.provider.calls).toEqual(['restore', 'inventory']);
  });

  it('without a class is left alone when no provider is the default', async () => {
    const rig = await startRig({ config: { defaultProvider: undefined } });
    rig.api.create(classless);
    await rig.settle();
    expect(rig.api.writes).toEqual([]);
  });

  it('is not cleaned up when it is deleted without our finalizer', async () => {
    const rig = await startRig();
    rig.api.create(service({ metadata: { finalizers: ['example.com/x'], deletionTimestamp: '2026-01-01T00:00:00Z' } }));
    await rig.settle();
    expect(rig.api.writes).toEqual([]);
  });
});

describe('a Service that works', () => {
  it('causes no write and no step for nothing: audit, labels, another start', async () => {
    const rig = await working();
    await rig.settle(rig.config.resyncMs);
    expect(rig.provider.calls).toEqual(['observe service/default/web']);
    rig.api.tamper(WEB, (each) => ({ ...each, metadata: { ...each.metadata, labels: { a: 'b' } } }));
    await rig.settle();
    await rig.restart();
    expect(rig.api.writes).toEqual([]);
    expect(rig.events).toEqual([]);
    expect(rig.provider.applied).toEqual([]);
    expect(rig.provider.restored).toEqual([
      {
        id: { kind: 'service', namespace: 'default', name: 'web' },
        addresses: ['192.0.2.1'],
        listeners: [{ address: '192.0.2.1', port: 80, protocol: 'TCP' }],
      },
    ]);
  });

  it('follows a change of its ports, keeps its address and says so once', async () => {
    const rig = await working();
    rig.api.edit(WEB, { ports: [servicePort(), servicePort({ port: 443 })] });
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP', '192.0.2.1:443/TCP']);
    expect(rig.told()).toEqual(['UpdatedLoadBalancer']);
    expect(rig.message(WEB, 'Programmed')).toBe('Serves 80/TCP, 443/TCP at 192.0.2.1.');
    await rig.settle(rig.config.resyncMs);
    expect(rig.told()).toEqual(['UpdatedLoadBalancer']);
  });

  it('follows a NodePort that somebody changes and changes back', async () => {
    const rig = await working();
    for (const nodePort of [30_999, 30_080]) {
      rig.api.edit(WEB, { ports: [servicePort({ nodePort })] });
      await rig.settle();
      expect(rig.world.list()[0]?.listeners[0]?.targets).toEqual([`10.0.0.1:${nodePort}`, `10.0.0.2:${nodePort}`]);
    }
  });

  it('gets its status back when somebody wipes it', async () => {
    const rig = await working();
    rig.api.tamper(WEB, (each) => ({ ...each, status: { loadBalancer: {} } }));
    await rig.settle();
    expect(rig.api.must(WEB).status?.loadBalancer?.ingress).toEqual([{ ip: '192.0.2.1', ipMode: 'VIP' }]);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    rig.api.tamper(WEB, (each) => ({ ...each, status: { ...each.status, loadBalancer: {} } }));
    await rig.settle();
    expect(rig.api.must(WEB).status?.loadBalancer?.ingress).toEqual([{ ip: '192.0.2.1', ipMode: 'VIP' }]);
  });

  it('gets its finalizers back when somebody takes them off', async () => {
    const rig = await working();
    rig.api.tamper(WEB, (each) => ({ ...each, metadata: { ...each.metadata, finalizers: [] } }));
    await rig.settle();
    expect(rig.api.must(WEB).metadata.finalizers).toEqual([OURS, UPSTREAM]);
  });

  it('is repaired by the audit when somebody breaks its load balancer', async () => {
    const rig = await working();
    const id = { kind: 'service', namespace: 'default', name: 'web' } as const;
    rig.world.change(id, () => ({ listeners: [] }));
    await rig.settle(rig.config.resyncMs);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
  });

  it('is looked at when the provider says that something changed', async () => {
    const rig = await working();
    const id = { kind: 'service', namespace: 'default', name: 'web' } as const;
    rig.world.change(id, () => ({ addresses: [], listeners: [] }));
    rig.provider.change(id);
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
  });

  it('survives a conflict with another writer', async () => {
    const rig = await working();
    rig.api.watchIsSlow = true;
    rig.api.tamper(WEB, (each) => ({ ...each, metadata: { ...each.metadata, labels: { a: 'b' } } }));
    rig.world.change({ kind: 'service', namespace: 'default', name: 'web' }, () => ({ listeners: [], addresses: [] }));
    rig.nodes.replace([]);
    await rig.settle(rig.config.nodeGuard.holdMs + 200);
    expect(rig.condition(WEB, 'Ready')).toBe('False NoNodes');
    expect(rig.api.conflicts).toBe(1);
    expect(rig.api.must(WEB).metadata.labels).toEqual({ a: 'b' });
  });
});

describe('the end of a load balancer', () => {
  it('comes with the deletion of its Service', async () => {
    const rig = await working();
    rig.api.delete(WEB);
    await rig.settle();
    expect(rig.api.get(WEB)).toBeUndefined();
    expect(rig.world.list()).toEqual([]);
    expect(rig.told()).toEqual(['DeletingLoadBalancer', 'DeletedLoadBalancer']);
    expect(rig.api.writes).toHaveLength(1);
    expect(rig.controller.keys()).toEqual([]);
  });

  it('comes before its finalizers go', async () => {
    const rig = await working();
    rig.api.beforeWrite = () => expect(rig.world.list()).toEqual([]);
    rig.api.delete(WEB);
    await rig.settle();
    expect(rig.api.get(WEB)).toBeUndefined();
  });

  it.each(['ClusterIP', 'NodePort', 'ExternalName'])(
    'comes with the change of type to %s, and nothing of ours is left',
    async (type) => {
      const rig = await working(classed);
      rig.api.edit(WEB, { type });
      await rig.settle();
      expect(rig.world.list()).toEqual([]);
      expect(rig.api.must(WEB).metadata.finalizers).toBeUndefined();
      expect(rig.api.must(WEB).status).toEqual({ loadBalancer: {} });
      expect(rig.told()).toEqual(['DeletingLoadBalancer', 'DeletedLoadBalancer']);
      rig.api.edit(WEB, { type: 'LoadBalancer', loadBalancerClass: 'ballast.dev/recording', ports: [servicePort()] });
      await rig.settle();
      expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
      expect(rig.api.must(WEB).metadata.finalizers).toEqual([OURS]);
    },
  );

  it('comes when its class is no longer claimed, and the dead address is taken back', async () => {
    const extra = { extraClasses: new Map([['old.example/lb', 'recording']]) };
    const rig = await startRig({ config: extra });
    rig.api.create(service({ loadBalancerClass: 'old.example/lb' }));
    await rig.settle();
    expect(rig.world.list()).toHaveLength(1);
    await rig.stop();
    const next = await startRig({ cluster: rig, provider: { world: rig.world } });
    expect(rig.world.list()).toEqual([]);
    expect(next.api.must(WEB).status).toEqual({ loadBalancer: {} });
    expect(next.api.must(WEB).metadata.finalizers).toBeUndefined();
  });

  it('leaves what another controller wrote to a Service that is claimed no longer', async () => {
    const extra = { extraClasses: new Map([['old.example/lb', 'recording']]) };
    const rig = await startRig({ config: extra });
    rig.api.create(service({ loadBalancerClass: 'old.example/lb' }));
    await rig.settle();
    await rig.stop();
    const foreign = { hostname: 'elb.other.example' };
    rig.api.tamper(WEB, (each) => ({
      ...each,
      status: { ...each.status, loadBalancer: { ingress: [foreign, { ip: '192.0.2.1', ipMode: 'VIP' }] } },
    }));
    const next = await startRig({ cluster: rig, provider: { world: rig.world } });
    expect(next.api.must(WEB).status).toEqual({ loadBalancer: { ingress: [foreign] } });
    expect(next.api.must(WEB).metadata.finalizers).toBeUndefined();
  });

  it('takes an address with errors and one that is kept for ours, too', async () => {
    const extra = { extraClasses: new Map([['old.example/lb', 'recording']]) };
    const rig = await startRig({ config: extra });
    const withClass = (name: string, port: number): Service =>
      service({
        loadBalancerClass: 'old.example/lb',
        metadata: { name },
        spec: { ports: [servicePort({ port }), servicePort({ port: port + 1 })] },
      });
    rig.provider.beforeStep = ({ summary }) => {
      if (summary.startsWith('put 91')) throw new Error('no');
    };
    rig.api.create(withClass('partly', 90));
    rig.api.create(withClass('kept', 70));
    await rig.settle();
    rig.api.annotate('default/kept', { 'ballast.dev/algorithm': 'random' });
    await rig.settle();
    for (const name of ['default/partly', 'default/kept']) {
      expect(rig.condition(name, 'Programmed')).toContain('False');
      expect(rig.api.must(name).status?.loadBalancer?.ingress).toHaveLength(1);
    }
    await rig.stop();
    await startRig({ cluster: rig, provider: { world: rig.world } });
    for (const name of ['default/partly', 'default/kept']) {
      expect(rig.api.must(name).status).toEqual({ loadBalancer: {} });
    }
  });

  it('takes upstream’s finalizer along only for the provider that takes Services without a class', async () => {
    const rig = await working(classed);
    rig.api.tamper(WEB, (each) => ({ ...each, metadata: { ...each.metadata, finalizers: [UPSTREAM, OURS] } }));
    await rig.stop();
    rig.api.edit(WEB, { type: 'ClusterIP' });
    await startRig({ cluster: rig, provider: { world: rig.world }, config: { defaultProvider: undefined } });
    expect(rig.api.must(WEB).metadata.finalizers).toEqual([UPSTREAM]);
  });

  it('comes with the Service that was deleted while no controller ran', async () => {
    const rig = await working();
    await rig.stop();
    rig.api.delete(WEB);
    await rig.restart();
    expect(rig.api.get(WEB)).toBeUndefined();
    expect(rig.world.list()).toEqual([]);
  });

  it('comes although somebody forced the finalizers off while no controller ran', async () => {
    const rig = await working();
    await rig.stop();
    rig.api.tamper(WEB, (each) => ({ ...each, metadata: { ...each.metadata, finalizers: [] } }));
    rig.api.delete(WEB);
    expect(rig.api.get(WEB)).toBeUndefined();
    await rig.restart();
    expect(rig.world.list()).toEqual([]);
  });

  it('and a new one come when another Service takes the name', async () => {
    const rig = await working();
    rig.api.watchIsSlow = true;
    rig.api.tamper(WEB, (each) => ({ ...each, metadata: { ...each.metadata, finalizers: [] } }));
    rig.api.delete(WEB);
    rig.api.create(service({ loadBalancerClass: null, metadata: { uid: 'another' } }));
    rig.api.flush();
    rig.api.watchIsSlow = false;
    await rig.settle();
    expect(rig.world.list().flatMap(({ listeners }) => listeners.map(({ listener }) => listener.member))).toEqual([
      'another',
    ]);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.api.must(WEB).metadata.finalizers).toEqual([OURS, UPSTREAM]);
  });
});

describe('a Service that changes while it is written to', () => {
  it('is not held any more when it has been deleted meanwhile', async () => {
    const rig = await startRig();
    rig.api.beforeWrite = () => {
      if (rig.api.must(WEB).metadata.deletionTimestamp === undefined) rig.api.delete(WEB);
    };
    rig.api.create(service({ loadBalancerClass: null, metadata: { finalizers: ['example.com/x'] } }));
    await rig.settle();
    expect(rig.api.must(WEB).metadata.finalizers).toEqual(['example.com/x']);
    expect(rig.api.writes).toEqual([]);
    expect(rig.world.list()).toEqual([]);
  });

  it('is not let go when it is a load balancer again', async () => {
    const rig = await working();
    rig.api.beforeWrite = () => {
      if (rig.api.must(WEB).spec?.type === 'ClusterIP')
        rig.api.edit(WEB, { type: 'LoadBalancer', ports: [servicePort()] });
    };
    rig.api.edit(WEB, { type: 'ClusterIP' });
    await rig.settle();
    expect(rig.api.must(WEB).metadata.finalizers).toEqual([OURS, UPSTREAM]);
    expect(rig.api.writes.filter(({ patch }) => patch.metadata)).toEqual([]);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });
});

describe('a change of the default provider', () => {
  it('lets the old one clean up and leave what the new one needs', async () => {
    const rig = await working();
    await rig.stop();
    const other = { name: 'other', loadBalancerClass: 'ballast.dev/other' };
    const config = { defaultProvider: 'other' };
    const old = await startRig({ cluster: rig, provider: { world: rig.world }, others: [other], config });
    expect(rig.world.list()).toEqual([]);
    expect(old.api.must(WEB).metadata.finalizers).toEqual([UPSTREAM]);
    // What it shows is for the successor to correct: two providers that both write it would never agree.
    expect(old.condition(WEB, 'Programmed')).toBe('True Programmed');
    const taken = await startRig({ cluster: rig, provider: { name: 'other', pool: ['192.0.2.200'] }, config });
    expect(taken.api.must(WEB).metadata.finalizers).toEqual([UPSTREAM, 'ballast.dev/other']);
    expect(taken.api.must(WEB).status?.loadBalancer?.ingress).toMatchObject([{ ip: '192.0.2.200' }]);
  });
});

describe('starting', () => {
  it('restores every published address and takes the inventory before anything else', async () => {
    const rig = new Rig();
    rig.api.create(service({ loadBalancerClass: null, status: { loadBalancer: { ingress: [{ ip: '192.0.2.9' }] } } }));
    rig.api.create(
      service({ loadBalancerClass: null, metadata: { name: 'new' }, spec: { ports: [servicePort({ port: 81 })] } }),
    );
    await rig.start();
    expect(rig.provider.calls.slice(0, 2)).toEqual(['restore', 'inventory']);
    expect(rig.provider.restored?.map(({ addresses }) => addresses)).toEqual([['192.0.2.9']]);
    expect(rig.api.must(WEB).status?.loadBalancer?.ingress).toMatchObject([{ ip: '192.0.2.9' }]);
    await rig.stop();
    expect(rig.ended).toBe(true);
    expect(rig.clock.pending).toBe(0);
  });

  it('tries the inventory again until it works', async () => {
    const rig = new Rig();
    let failures = 3;
    rig.provider.beforeLook = (call) => {
      if (call === 'inventory' && failures-- > 0) throw new Error('the cloud is away');
    };
    rig.api.create(classless);
    await rig.start();
    expect(rig.api.writes).toEqual([]);
    await rig.settle(10_000);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    await rig.stop();
  });

  it('ends quietly when it is stopped before the inventory worked', async () => {
    const rig = new Rig();
    rig.provider.beforeLook = () => {
      throw new Error('the cloud is away');
    };
    await rig.start();
    await rig.stop();
    expect(rig.ended).toBe(true);
    expect(rig.clock.pending).toBe(0);
  });

  it('does nothing before, but follows the stores', async () => {
    const rig = new Rig();
    rig.api.create(classless);
    await rig.settle(1_000_000);
    expect(rig.provider.calls).toEqual([]);
    expect(rig.api.writes).toEqual([]);
    expect(rig.controller.keys()).toEqual(['service/default/web']);
    rig.controller.close();
  });
});

describe('a provider whose own work fails', () => {
  it('ends the controller with its error once the reconciles have ended, and nothing is written after', async () => {
    const rig = new Rig();
    const gate = Promise.withResolvers<void>();
    const crash = Promise.withResolvers<void>();
    rig.provider.run = () => crash.promise;
    rig.provider.beforeStep = () => gate.promise;
    let outcome: unknown = 'running';
    void rig.controller.start(new AbortController().signal).catch((error: unknown) => (outcome = error));
    rig.api.create(classless);
    await rig.settle();
    const error = new Error('the provider died');
    crash.reject(error);
    await rig.settle(10_000);
    expect(outcome).toBe('running');
    gate.resolve();
    await rig.settle(0);
    expect(outcome).toBe(error);
    const writes = rig.api.writes.length;
    await rig.settle(1_000_000);
    expect(rig.provider.applied).toEqual([]);
    expect(rig.api.writes).toHaveLength(writes);
    expect(rig.clock.pending).toBe(0);
  });

  it('ends it as well when it fails before it has begun', async () => {
    const rig = new Rig();
    rig.provider.run = () => {
      throw new Error('no socket');
    };
    let outcome: unknown;
    void rig.controller.start(new AbortController().signal).catch((error: unknown) => (outcome = error));
    await rig.settle(10_000);
    expect(outcome).toMatchObject({ message: 'no socket' });
    expect(rig.clock.pending).toBe(0);
  });
});

describe('two providers in one process', () => {
  it('serve their own Services each', async () => {
    const other = { name: 'other', loadBalancerClass: 'ballast.dev/other' };
    const recording = { name: 'recording', loadBalancerClass: 'ballast.dev/recording' };
    const one = await startRig({ others: [other] });
    const two = await startRig({
      cluster: one,
      provider: { name: 'other', pool: ['198.51.100.1'] },
      others: [recording],
    });
    one.api.create(classless);
    one.api.create(
      service({
        loadBalancerClass: 'ballast.dev/other',
        metadata: { name: 'theirs' },
        spec: { ports: [servicePort({ port: 81 })] },
      }),
    );
    await one.settle();
    await two.settle();
    expect(one.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(two.world.reachable()).toEqual(['198.51.100.1:81/TCP']);
    expect(one.api.must('default/theirs').metadata.finalizers).toEqual(['ballast.dev/other']);
  });
});
