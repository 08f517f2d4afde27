import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { service, servicePort } from '#test/fakes/builders';
import { Rig } from '#test/fakes/service-rig';
import { BallastError } from '#src/errors';
import type { Service, ServicePort } from '#src/kube/wire';
import { dynamicBandStart, fillNodePorts, usedNodePorts } from '#src/service/nodeports';
import { startRig } from './start-rig.ts';

const WEB = 'default/web';
const range = { min: 30_000, max: 32_767 };

function holed(...ports: readonly Partial<ServicePort>[]): Service {
  return service({
    loadBalancerClass: null,
    spec: { allocateLoadBalancerNodePorts: false, ports: ports.map((port) => servicePort({ nodePort: 0, ...port })) },
  });
}

/** Another number each time. */
function counting(): () => number {
  let count = 0;
  return () => (++count % 100) / 100;
}

describe('the dynamic band', () => {
  it.each([
    [range, 30_086],
    [{ min: 30_000, max: 30_015 }, 30_000],
    [{ min: 30_000, max: 30_016 }, 30_016],
    [{ min: 30_000, max: 30_511 }, 30_016],
    [{ min: 1, max: 65_535 }, 129],
  ])('of %o begins at %i', (each, start) => {
    expect(dynamicBandStart(each)).toBe(start);
  });
});

describe('usedNodePorts', () => {
  it('are those of ports and of health checks', () => {
    const local = service({
      spec: { healthCheckNodePort: 32_000, ports: [servicePort({ nodePort: 30_001 }), servicePort({ nodePort: 0 })] },
    });
    expect([
      ...usedNodePorts([local, service({ spec: { type: 'ClusterIP', ports: [servicePort({ nodePort: 30_002 })] } })]),
    ]).toEqual([30_001, 32_000, 30_002]);
  });
});

describe('fillNodePorts', () => {
  const fill = (
    each: Service,
    used: readonly number[] = [],
    random = 0,
    within = range,
  ): ReturnType<typeof fillNodePorts> =>
    fillNodePorts(each, { range: within, used: new Set(used), random: () => random });
  const numbers = (filled: ReturnType<typeof fillNodePorts>): readonly unknown[] =>
    filled.ports.map(({ nodePort }) => nodePort);

  it('begins in the dynamic band, at a random place', () => {
    expect(numbers(fill(holed({ port: 1 }, { port: 2 })))).toEqual([30_086, 30_087]);
    expect(numbers(fill(holed({}), [], 0.999_999))).toEqual([32_767]);
  });

  it('goes round the end of the band, and to the static band when the dynamic one is full', () => {
    expect(numbers(fill(holed({}), [32_767], 0.999_999))).toEqual([30_086]);
    const small = { min: 30_000, max: 30_019 };
    const dynamic = [30_016, 30_017, 30_018, 30_019];
    expect(numbers(fill(holed({}), dynamic, 0, small))).toEqual([30_000]);
  });

  it('leaves what is set, and takes no number that somebody has', () => {
    expect(numbers(fill(holed({ nodePort: 31_000 }, { port: 2 }), [30_086]))).toEqual([31_000, 30_087]);
  });

  it('gives TCP and UDP of the same port the same number', () => {
    const dns = holed({ port: 53 }, { port: 53, protocol: 'UDP' }, { port: 54 });
    expect(numbers(fill(dns))).toEqual([30_086, 30_086, 30_087]);
    const half = holed({ port: 53, nodePort: 31_053 }, { port: 53, protocol: 'UDP' });
    expect(numbers(fill(half, [31_053]))).toEqual([31_053, 31_053]);
  });

  it('says for which ports there is none', () => {
    const one = { min: 30_000, max: 30_000 };
    const { ports, unfilled, chosen } = fill(holed({ port: 1 }, { port: 2 }), [], 0, one);
    expect(ports.map(({ nodePort }) => nodePort)).toEqual([30_000, 0]);
    expect(unfilled.map(({ port }) => port)).toEqual([2]);
    expect(chosen).toEqual([30_000]);
  });

  it('never gives two protocols of one number to one protocol, never a taken or foreign number', () => {
    const ports = fc.uniqueArray(
      fc.record({ port: fc.integer({ min: 1, max: 4 }), protocol: fc.constantFrom('TCP', 'UDP') }),
      { selector: ({ port, protocol }) => `${port}${protocol}` },
    );
    const small = { min: 100, max: 120 };
    const taken = fc.subarray(Array.from({ length: 21 }, (_, index) => 100 + index));
    fc.assert(
      fc.property(ports, taken, fc.double({ min: 0, max: 0.999, noNaN: true }), (each, used, random) => {
        const filled = fill(holed(...each), used, random, small);
        const given = filled.ports.filter(({ nodePort }) => nodePort);
        const keys = given.map(({ nodePort, protocol }) => `${nodePort}/${protocol}`);
        expect(new Set(keys).size).toBe(keys.length);
        expect(given.every(({ nodePort = 0 }) => nodePort >= 100 && nodePort <= 120 && !used.includes(nodePort))).toBe(
          true,
        );
        expect(given.length + filled.unfilled.length).toBe(each.length);
        const free = 21 - used.length;
        expect(filled.unfilled.length === 0 || new Set(given.map(({ nodePort }) => nodePort)).size === free).toBe(true);
      }),
    );
  });
});

describe('a Service without NodePorts', () => {
  const nodePorts = (rig: Rig): readonly unknown[] =>
    (rig.api.must(WEB).spec?.ports ?? []).map(({ nodePort }) => nodePort);

  it('gets them with its finalizers, in one write, before anything is made', async () => {
    const rig = await startRig();
    rig.api.create(holed({ port: 80 }, { port: 443, nodePort: 31_443 }));
    await rig.settle();
    expect(nodePorts(rig)).toEqual([30_086, 31_443]);
    expect(rig.api.writes.map(({ subresource, patch }) => [subresource, Object.keys(patch)])).toEqual([
      [undefined, ['metadata', 'spec']],
      ['status', ['status']],
    ]);
    expect(rig.api.must(WEB).spec).toMatchObject({ allocateLoadBalancerNodePorts: false, clusterIP: '10.96.0.10' });
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });

  it('gets none where the provider needs none', async () => {
    const rig = await startRig({ provider: { capabilities: { needsNodePorts: false } } });
    rig.api.create(holed({}));
    await rig.settle();
    expect(nodePorts(rig)).toEqual([0]);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });

  it('gets none while it is refused', async () => {
    const rig = await startRig();
    rig.api.create({
      ...holed({}),
      metadata: { ...holed({}).metadata, annotations: { 'ballast.dev/algorithm': 'x' } },
    });
    await rig.settle();
    expect(nodePorts(rig)).toEqual([0]);
  });

  it('gets others when the API server says that they are taken', async () => {
    const rig = await startRig();
    rig.api.watchIsSlow = true;
    rig.api.create(
      service({ metadata: { name: 'unseen' }, spec: { type: 'NodePort', ports: [servicePort({ nodePort: 30_086 })] } }),
    );
    rig.api.create(
      service({ metadata: { name: 'unseen-2' }, spec: { type: 'ClusterIP', healthCheckNodePort: 30_087 } }),
    );
    rig.api.store.put(rig.api.create(holed({})));
    await rig.settle(0);
    expect(nodePorts(rig)).toEqual([30_088]);
  });

  it('is told that the ranges differ, once and without the numbers that were tried', async () => {
    const rig = new Rig({ config: { nodePortRange: { min: 20_000, max: 29_999 } }, random: counting() });
    rig.api.beforeWrite = ({ patch }) => {
      const number = patch.spec?.ports[0]?.nodePort;
      if (!number) return;
      const message =
        `PATCH services: 422 Service "web" is invalid: spec.ports[0].nodePort: Invalid value: ${number}: provided port ` +
        'is not in the valid range. The range of valid ports is 30000-32767';
      throw new BallastError('ApiInvalid', message, { field: 'spec.ports[0].nodePort' });
    };
    await rig.start();
    rig.api.create(holed({}));
    await rig.settle(100_000);
    await rig.stop();
    expect(rig.message(WEB, 'Programmed')).toContain('`--node-port-range` (20000-29999)');
    expect(rig.message(WEB, 'Programmed')).toContain('(30000-32767)');
    expect(rig.api.writes.filter(({ patch }) => patch.status)).toHaveLength(1);
    expect(rig.told()).toEqual(['SyncLoadBalancerFailed']);
  });

  it('gets none for ports that are refused', async () => {
    const rig = await startRig();
    rig.api.create(holed({ port: 80 }, { port: 81, protocol: 'SCTP' }));
    await rig.settle();
    expect(rig.api.must(WEB).spec?.ports?.map(({ nodePort }) => Boolean(nodePort))).toEqual([true, false]);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
  });

  it('is told of a conflict that does not end, once, and tried again later', async () => {
    const rig = await startRig();
    const message = 'spec.ports[0].nodePort: Invalid value: 1: provided port is already allocated';
    rig.api.beforeWrite = ({ patch }) => {
      if (patch.spec) throw new BallastError('ApiInvalid', message);
    };
    rig.api.create(holed({}));
    await rig.settle(20_000);
    expect(rig.condition(WEB, 'Programmed')).toBe('False NodePortConflict');
    expect(rig.told()).toEqual(['SyncLoadBalancerFailed']);
    expect(rig.world.list()).toEqual([]);
    rig.api.beforeWrite = () => {};
    await rig.settle(60_000);
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });

  it('is told when there is none left, and served as far as there are some', async () => {
    const rig = await startRig({ config: { nodePortRange: { min: 31_000, max: 31_000 } } });
    rig.api.create(holed({ port: 80 }, { port: 81 }));
    await rig.settle();
    expect(nodePorts(rig)).toEqual([31_000, 0]);
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
    expect(rig.condition(WEB, 'Accepted')).toBe('True Accepted');
    expect(rig.condition(WEB, 'Programmed')).toBe('False NodePortsExhausted');
    expect(rig.message(WEB, 'Programmed')).toContain('31000-31000');
    expect(rig.told()).toEqual(['EnsuringLoadBalancer', 'SyncLoadBalancerFailed']);
    const ports = rig.api.must(WEB).spec?.ports ?? [];
    rig.api.edit(WEB, { ports: ports.map((port) => (port.port === 81 ? { ...port, nodePort: 32_000 } : port)) });
    await rig.settle();
    expect(rig.condition(WEB, 'Programmed')).toBe('True Programmed');
  });

  it('gets them again when somebody empties them, and keeps its load balancer', async () => {
    const rig = await startRig();
    rig.api.create(holed({}));
    await rig.settle();
    rig.api.edit(WEB, { ports: [servicePort({ nodePort: 0 })] });
    await rig.settle();
    expect(nodePorts(rig)).toEqual([30_086]);
    rig.api.beforeWrite = () => {
      throw new BallastError('ApiUnavailable', 'Etcd is away.');
    };
    rig.api.edit(WEB, { ports: [servicePort({ nodePort: 0 })] });
    await rig.settle();
    expect(rig.world.reachable()).toEqual(['192.0.2.1:80/TCP']);
  });
});
