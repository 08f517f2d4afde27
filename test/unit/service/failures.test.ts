import { describe, expect, it } from 'vitest';
import { service, servicePort, type ServiceOptions } from '#test/fakes/builders';
import type { Rig } from '#test/fakes/service-rig';
import { BallastError } from '#src/errors';
import type { Service } from '#src/kube/wire';
import { startRig } from './start-rig.ts';

const WEB = 'default/web';

function web(options: ServiceOptions = {}): Service {
  return service({
    loadBalancerClass: null,
    spec: { ports: [80, 443].map((port) => servicePort({ port })) },
    ...options,
  });
}

/** Makes the step with this text fail until told otherwise. */
function failing(rig: Rig, text: string, error: Error): { times: number; stop: () => void } {
  const state = { times: 0, stop: () => void (rig.provider.beforeStep = () => {}) };
  rig.provider.beforeStep = ({ summary }) => {
    if (!summary.includes(text)) return;
    state.times += 1;
    throw error;
  };
  return state;
}

const listenFailed = new BallastError('ListenFailed', 'Port 443 is taken by another program.');

describe('a step that fails', () => {
  it('is tried again at once when it is told to, and not what waits for nothing', async () => {
    const rig = await startRig();
    const failure = failing(rig, 'of default/web', new BallastError('ApiUnavailable', 'connection refused'));
    rig.api.create(web());
    const ports = [servicePort({ port: 80, nodePort: 30_999 })];
    rig.api.create(service({ metadata: { name: 'other', uid: 'other' }, loadBalancerClass: null, spec: { ports } }));
    await rig.settle(40_000);
    failure.stop();
    rig.provider.calls.length = 0;
    rig.controller.retryFailed();
    await rig.settle();
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.provider.calls.filter((call) => call.startsWith('observe'))).not.toContain(
      'observe service/default/other',
    );
    rig.provider.calls.length = 0;
    rig.controller.retryFailed();
    await rig.settle();
    expect(rig.provider.calls).toEqual([]);
  });

  it('costs its listener, is told once, and is tried again with growing waits', async () => {
    const rig = await startRig();
    const failure = failing(rig, 'put 443', listenFailed);
    rig.api.create(web());
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.condition(WEB, 'Programmed')).toBe('False ListenFailed');
    expect(rig.message(WEB, 'Programmed')).toBe('Port 443 is taken by another program.');
    expect(rig.api.must(WEB).status?.loadBalancer?.ingress).toEqual([
      {
        ip: '192.0.2.1',
        ipMode: 'VIP',
        ports: [
          { port: 80, protocol: 'TCP' },
          { port: 443, protocol: 'TCP', error: 'ballast.dev/ListenFailed' },
        ],
      },
    ]);
    await rig.settle(60_000);
    expect(failure.times).toBeGreaterThan(4);
    expect(failure.times).toBeLessThan(10);
    expect(rig.told()).toEqual(['EnsuringLoadBalancer', 'SyncLoadBalancerFailed']);
    failure.stop();
    await rig.settle(100_000);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP', '192.0.2.1:443/TCP']);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.api.must(WEB).status?.loadBalancer?.ingress).toEqual([{ ip: '192.0.2.1', ipMode: 'VIP' }]);
    expect(rig.told()).toEqual(['EnsuringLoadBalancer', 'SyncLoadBalancerFailed', 'EnsuredLoadBalancer']);
  });

  it('without a scope ends the plan', async () => {
    const rig = await startRig();
    const failure = failing(rig, 'take 192.0.2.1', new BallastError('AddressNotLocal', '192.0.2.1 is not here.'));
    rig.api.create(web());
    await rig.settle();
    expect(rig.provider.applied).toEqual([]);
    expect(rig.condition(WEB, 'Programmed')).toBe('False AddressNotLocal');
    failure.stop();
    await rig.settle(10_000);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });

  it('whose answer is lost is found done', async () => {
    const rig = await startRig();
    rig.provider.afterStep = ({ summary }) => {
      if (summary.includes('put 80')) {
        rig.provider.afterStep = () => {};
        throw new BallastError('ListenFailed', 'the answer was lost');
      }
    };
    rig.api.create(web());
    await rig.settle(10_000);
    expect(rig.provider.applied.filter((summary) => summary.startsWith('put 80'))).toHaveLength(1);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });

  it('for want of a race is tried again at once and in silence', async () => {
    const rig = await startRig();
    let times = 0;
    rig.provider.beforeStep = () => {
      if (times++ < 2) throw new BallastError('ClaimLost', 'another was faster');
    };
    rig.api.create(web());
    await rig.settle(0);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.told()).toEqual(['EnsuringLoadBalancer', 'EnsuredLoadBalancer']);
  });

  it('for want of patience waits as long as it is asked to, in silence', async () => {
    const rig = await startRig();
    let times = 0;
    rig.provider.beforeStep = () => {
      times += 1;
      if (times === 1) throw new BallastError('ApiThrottled', 'slower', { retryAfterMs: 7_000 });
    };
    rig.api.create(web());
    await rig.settle(6_000);
    expect(times).toBe(1);
    expect(rig.condition(WEB, 'Programmed')).toBe('False Pending');
    await rig.settle(2_000);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.told()).not.toContain('SyncLoadBalancerFailed');
  });

  it('of the API server before the finalizer is on says nothing about the Service, and waits as long as asked', async () => {
    const rig = await startRig();
    let throttled = true;
    const tried: string[] = [];
    rig.api.beforeWrite = ({ patch }) => {
      tried.push(Object.keys(patch).join());
      if (throttled && patch.metadata) throw new BallastError('ApiThrottled', 'slower', { retryAfterMs: 7_000 });
    };
    rig.api.create(web());
    await rig.settle(6_000);
    expect([tried, rig.api.must(WEB).status?.conditions]).toEqual([['metadata'], undefined]);
    throttled = false;
    await rig.settle(2_000);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.told()).not.toContain('SyncLoadBalancerFailed');
  });

  it('of one Service delays no other', async () => {
    const rig = await startRig({ config: { workers: 1 } });
    failing(rig, 'default/web', listenFailed);
    rig.api.create(web());
    rig.api.create(
      service({ loadBalancerClass: null, metadata: { name: 'other' }, spec: { ports: [servicePort({ port: 81 })] } }),
    );
    await rig.settle(0);
    expect(rig.condition('default/other', 'Programmed')).toBe('True Programmed');
  });

  it('of a removal keeps the Service and says why', async () => {
    const rig = await startRig();
    rig.api.create(web());
    await rig.settle();
    const failure = failing(rig, 'give', new BallastError('InterfaceFailed', 'eth0 is gone.'));
    rig.api.delete(WEB);
    await rig.settle(20_000);
    expect(rig.condition(WEB, 'Programmed')).toBe('False InterfaceFailed');
    expect(rig.message(WEB, 'Programmed')).toContain('eth0 is gone.');
    expect(rig.told().slice(2)).toEqual(['DeletingLoadBalancer', 'SyncLoadBalancerFailed']);
    failure.stop();
    await rig.settle(60_000);
    expect(rig.api.get(WEB)).toBeUndefined();
    expect(rig.told().slice(2)).toEqual(['DeletingLoadBalancer', 'SyncLoadBalancerFailed', 'DeletedLoadBalancer']);
  });
});

describe('a provider that cannot be asked', () => {
  it('is told on a Service that waits, and not on one that works', async () => {
    const rig = await startRig();
    rig.api.create(web());
    await rig.settle();
    const before = rig.api.must(WEB);
    rig.provider.beforeLook = () => {
      throw new BallastError('ApiUnavailable', 'The cloud is away.');
    };
    rig.api.create(
      service({ loadBalancerClass: null, metadata: { name: 'late' }, spec: { ports: [servicePort({ port: 81 })] } }),
    );
    rig.nodes.replace(rig.nodes.list().slice(1));
    await rig.settle(30_000);
    expect(rig.api.must(WEB)).toEqual(before);
    expect(rig.condition('default/late', 'Programmed')).toBe('False ApiUnavailable');
    expect(rig.told('default/late')).toEqual(['SyncLoadBalancerFailed']);
    rig.provider.beforeLook = () => {};
    await rig.settle(60_000);
    expect(rig.condition('default/late', 'Programmed')).toBe('True Programmed');
  });

  it('is told on a Service that is being deleted, which is not let go', async () => {
    const rig = await startRig();
    rig.api.create(web());
    await rig.settle();
    rig.provider.beforeLook = () => {
      throw new BallastError('ApiUnavailable', 'The cloud is away.');
    };
    rig.api.delete(WEB);
    await rig.settle(5_000);
    expect(rig.message(WEB, 'Programmed')).toContain('The cloud is away.');
    rig.provider.beforeLook = () => {};
    await rig.settle(60_000);
    expect(rig.api.get(WEB)).toBeUndefined();
    expect(rig.world.list()).toEqual([]);
  });
});

describe('an API server that refuses', () => {
  it('the finalizer: nothing is made outside', async () => {
    const rig = await startRig();
    rig.api.beforeWrite = ({ patch }) => {
      if (patch.metadata) throw new BallastError('ApiForbidden', 'No such permission.');
    };
    rig.api.create(web());
    await rig.settle(5_000);
    expect(rig.world.list()).toEqual([]);
    expect(rig.condition(WEB, 'Programmed')).toBe('False ApiForbidden');
    rig.api.beforeWrite = () => {};
    await rig.settle(60_000);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });

  it('the status: the load balancer works, and the write is tried again', async () => {
    const rig = await startRig();
    rig.api.beforeWrite = ({ patch }) => {
      if (patch.status) throw new BallastError('ApiUnavailable', 'Etcd is away.');
    };
    rig.api.create(web());
    await rig.settle(5_000);
    expect(rig.world.reachable()).toHaveLength(2);
    rig.api.beforeWrite = () => {};
    await rig.settle(60_000);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
    expect(rig.told().filter((reason) => reason !== 'EnsuringLoadBalancer')).toEqual(['EnsuredLoadBalancer']);
  });

  it('the status of one member: the others get theirs', async () => {
    const rig = await startRig();
    rig.api.beforeWrite = ({ name, patch }) => {
      if (patch.status && name === 'default/a') throw new BallastError('ApiInvalid', 'A webhook says no.');
    };
    const annotations = { 'ballast.dev/load-balancer': 'shared' };
    rig.api.create(service({ loadBalancerClass: null, metadata: { name: 'a', annotations } }));
    rig.api.create(
      service({
        loadBalancerClass: null,
        metadata: { name: 'b', annotations },
        spec: { ports: [servicePort({ port: 81 })] },
      }),
    );
    await rig.settle();
    expect(rig.condition('default/a', 'Programmed')).toBeUndefined();
    expect(rig.condition('default/b', 'Programmed')).toBe('True Programmed');
  });

  it('to take back a finalizer that somebody removed: what works goes on working', async () => {
    const rig = await startRig();
    rig.api.create(web());
    await rig.settle();
    rig.api.beforeWrite = () => {
      throw new BallastError('ApiUnavailable', 'Etcd is away.');
    };
    rig.api.tamper(WEB, (each) => ({ ...each, metadata: { ...each.metadata, finalizers: [] } }));
    await rig.settle(5_000);
    expect(rig.world.reachable()).toHaveLength(2);
  });
});

describe('a process that lost its Lease', () => {
  const lost = (): never => {
    throw new BallastError('NotLeader', 'The Lease was lost.');
  };

  it('writes nothing, neither inside nor outside', async () => {
    const rig = await startRig();
    rig.fence = lost;
    rig.api.create(web());
    await rig.settle(10_000);
    expect(rig.api.writes).toEqual([]);
    expect(rig.world.list()).toEqual([]);
  });

  it('stops between two steps', async () => {
    const rig = await startRig();
    rig.provider.afterStep = () => void (rig.fence = lost);
    rig.api.create(web());
    await rig.settle(10_000);
    expect(rig.provider.applied).toEqual(['take 192.0.2.1 for default/web']);
    expect(rig.api.writes).toHaveLength(1);
  });

  it('writes no status', async () => {
    const rig = await startRig();
    rig.provider.afterStep = ({ summary }) => {
      if (summary.startsWith('put 443')) rig.fence = lost;
    };
    rig.api.create(web());
    await rig.settle(10_000);
    expect(rig.world.reachable()).toHaveLength(2);
    expect(rig.api.must(WEB).status).toEqual({ loadBalancer: {} });
  });
});

describe('a provider that hangs', () => {
  it('delays one Service and not the others', async () => {
    const rig = await startRig({ config: { workers: 2 } });
    rig.provider.beforeStep = ({ summary }) => (summary.includes('default/web') ? new Promise(() => {}) : undefined);
    rig.api.create(web());
    rig.api.create(
      service({ loadBalancerClass: null, metadata: { name: 'other' }, spec: { ports: [servicePort({ port: 81 })] } }),
    );
    await rig.settle();
    expect(rig.condition('default/other', 'Programmed')).toBe('True Programmed');
  });
});

describe('a provider that works by itself', () => {
  it('is asked again as soon as it says', async () => {
    const rig = await startRig();
    const { provider } = rig;
    const status = provider.status.bind(provider);
    provider.status = (...args) => ({ ...status(...args), addresses: [], pollAfterMs: 3_000 });
    rig.api.create(web());
    await rig.settle(2_900);
    expect(rig.condition(WEB, 'Programmed')).toBe('False Pending');
    const looks = provider.calls.length;
    provider.status = status;
    await rig.settle(200);
    expect(provider.calls.length).toBeGreaterThan(looks);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });

  it('is asked again while something that was removed is still there', async () => {
    const rig = await startRig();
    rig.api.create(web());
    await rig.settle();
    const { provider } = rig;
    const holders = provider.holders.bind(provider);
    provider.holders = () => ['service-default-web'];
    rig.api.delete(WEB);
    await rig.settle(4_000);
    expect(rig.world.list()).toEqual([]);
    expect(rig.api.must(WEB).metadata.finalizers).toContain('ballast.dev/recording');
    provider.holders = holders;
    await rig.settle(2_000);
    expect(rig.api.get(WEB)).toBeUndefined();
  });
});
