/** What a user sees: conditions, events, and that bad input is named by field. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Service } from '#src/kube/wire';
import { addresses, condition, refusal, useCluster, type Manifest } from './cluster.ts';
import { startController } from './controller.ts';
import { stays } from './wait.ts';

const cluster = useCluster();
beforeAll(async () => {
  await startController(cluster);
});

const settled = (service: Service): boolean => condition(service, 'Accepted') !== undefined;

describe('a Service that is served', () => {
  it('shows three conditions and two events', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const service = await namespace.untilProgrammed('web');
    const [address = ''] = addresses(service);
    expect(condition(service, 'Accepted')).toMatchObject({ status: 'True', reason: 'Accepted' });
    expect(condition(service, 'Programmed')).toMatchObject({ status: 'True', reason: 'Programmed' });
    expect(condition(service, 'Programmed')?.message).toContain(`80/TCP at ${address}`);
    expect(condition(service, 'Ready')).toMatchObject({ status: 'False', reason: 'NoNodes' });
    await namespace.untilEvent('web', 'EnsuringLoadBalancer');
    await namespace.untilEvent('web', 'EnsuredLoadBalancer');
    await namespace.untilEvent('web', 'UnAvailableLoadBalancer');
  });

  it('is what kubectl shows and waits for', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const [address = ''] = addresses(await namespace.untilProgrammed('web'));
    const kubectl = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await cluster.plane.kubectl(['-n', namespace.name, ...args]);
      expect({ code, stderr }).toMatchObject({ code: 0 });
      return stdout;
    };
    expect(await kubectl('get', 'svc', 'web')).toContain(address);
    expect(await kubectl('wait', '--for=condition=ballast.dev/Programmed', '--timeout=5s', 'svc/web')).toContain('met');
    await namespace.untilEvent('web', 'EnsuredLoadBalancer');
    const events = await kubectl('get', 'events', '--field-selector', 'involvedObject.name=web');
    expect(events).toContain('EnsuredLoadBalancer');
    expect(await kubectl('describe', 'svc', 'web')).toContain('EnsuredLoadBalancer');
  });

  it('is written no more than needed: nothing changes while nothing changes', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const before = await namespace.untilProgrammed('web');
    await stays(async () => expect(await namespace.get('web')).toEqual(before), 1_500);
  });

  it('tells a change once', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.untilProgrammed('web');
    await namespace.patchSpec('web', { ports: [{ port: 81 }] });
    await namespace.untilProgrammed('web');
    await namespace.untilEvent('web', 'UpdatedLoadBalancer');
    const events = await namespace.events('web');
    for (const reason of ['EnsuringLoadBalancer', 'EnsuredLoadBalancer']) {
      const told = events.filter((event) => event.reason === reason);
      expect(told.map((event) => event.series?.count ?? 1)).toEqual([1]);
    }
  });
});

describe('bad input', () => {
  const cases: Readonly<Record<string, Manifest & { readonly field: string; readonly code: string }>> = {
    'an algorithm that does not exist': {
      annotations: { 'ballast.dev/algorithm': 'by-moonlight' },
      field: 'ballast.dev/algorithm',
      code: 'InvalidAnnotation',
    },
    'an idle timeout that is no number': {
      annotations: { 'ballast.dev/idle-timeout': 'soon' },
      field: 'ballast.dev/idle-timeout',
      code: 'InvalidAnnotation',
    },
    'a group that is no name': {
      annotations: { 'ballast.dev/load-balancer': 'Not A Name' },
      field: 'ballast.dev/load-balancer',
      code: 'InvalidAnnotation',
    },
    'an address that is none': {
      annotations: { 'ballast.dev/addresses': 'nowhere' },
      field: 'ballast.dev/addresses',
      code: 'InvalidAnnotation',
    },
    'an address outside the pool': {
      annotations: { 'ballast.dev/addresses': '192.0.2.1' },
      field: '192.0.2.1',
      code: 'AddressNotInPool',
    },
    'an address of the wrong family': {
      annotations: { 'ballast.dev/addresses': '2001:db8::1' },
      field: 'ballast.dev/addresses',
      code: 'InvalidAnnotation',
    },
    'an address outside the pool, in the spec': {
      spec: { loadBalancerIP: '192.0.2.2' },
      field: '192.0.2.2',
      code: 'AddressNotInPool',
    },
    'a protocol that nobody carries': {
      spec: { ports: [{ port: 80, protocol: 'SCTP' }] },
      field: 'SCTP',
      code: 'UnsupportedProtocol',
    },
  };

  it.each(Object.entries(cases))('is refused and named: %s', async (_name, { field, code, ...manifest }) => {
    const namespace = await cluster.namespace();
    await namespace.create('web', manifest);
    const service = await namespace.until('web', 'an answer', settled);
    expect(condition(service, 'Accepted')).toMatchObject({ status: 'False', reason: code });
    expect(condition(service, 'Accepted')?.message).toContain(field);
    expect(condition(service, 'Programmed')).toMatchObject({ status: 'False', reason: 'NotAccepted' });
    expect(addresses(service)).toEqual([]);
    const event = await namespace.untilEvent('web', 'SyncLoadBalancerFailed');
    expect(event.type).toBe('Warning');
    expect(event.note).toContain(field);
  });

  it('is served once it is corrected', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { annotations: { 'ballast.dev/algorithm': 'by-moonlight' } });
    await namespace.until('web', 'an answer', settled);
    await namespace.patch('web', { metadata: { annotations: { 'ballast.dev/algorithm': 'least-connections' } } });
    const service = await namespace.untilProgrammed('web');
    expect(condition(service, 'Accepted')).toMatchObject({ status: 'True' });
    expect(addresses(service)).toHaveLength(1);
  });

  it('does not take away what was served before', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const before = addresses(await namespace.untilProgrammed('web'));
    await namespace.patch('web', { metadata: { annotations: { 'ballast.dev/algorithm': 'by-moonlight' } } });
    const refused = await namespace.until(
      'web',
      'a refusal',
      (service) => condition(service, 'Accepted')?.status === 'False',
    );
    expect(addresses(refused)).toEqual(before);
    expect(condition(refused, 'Programmed')?.message).toContain('keeps its group, address and settings');
  });

  it('of one port costs that port only', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', {
      spec: {
        ports: [
          { name: 'good', port: 80 },
          { name: 'bad', port: 81, protocol: 'SCTP' },
        ],
      },
    });
    const service = await namespace.untilAddresses('web');
    expect(service.status?.loadBalancer?.ingress?.[0]?.ports).toEqual([
      { port: 80, protocol: 'TCP' },
      { port: 81, protocol: 'SCTP', error: 'ballast.dev/UnsupportedProtocol' },
    ]);
    expect(condition(service, 'Programmed')).toMatchObject({ status: 'False', reason: 'UnsupportedProtocol' });
  });

  it('is only warned about where it does no harm', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { annotations: { 'ballast.dev/algoritm': 'least-connections' } });
    const service = await namespace.untilProgrammed('web');
    expect(condition(service, 'Accepted')?.message).toContain('did you mean ballast.dev/algorithm?');
    const event = await namespace.untilEvent('web', 'UnknownAnnotation');
    expect(event.note).toContain('ballast.dev/algoritm');
  });

  it('is refused by the API server already where it checks the field itself', async () => {
    const namespace = await cluster.namespace();
    const { status } = await refusal(
      namespace.create('web', { spec: { ports: [{ port: 80 }], loadBalancerSourceRanges: ['everyone'] } }),
    );
    expect(status).toBe(422);
  });
});

describe('conditions of others', () => {
  it('stay as they are', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.untilProgrammed('web');
    const foreign = {
      type: 'example.com/Audited',
      status: 'True',
      reason: 'Looked',
      message: 'seen',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    const { status } = await namespace.get('web');
    await cluster.plane.request('PATCH', `/api/v1/namespaces/${namespace.name}/services/web/status`, {
      status: { conditions: [...(status?.conditions ?? []), foreign] },
    });
    await namespace.patchSpec('web', { ports: [{ port: 81 }] });
    const after = await namespace.untilProgrammed('web');
    expect(after.status?.conditions).toContainEqual(foreign);
    expect(after.status?.conditions).toHaveLength(4);
  });

  it('and a status that somebody overwrote is put right', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web');
    const before = addresses(await namespace.untilProgrammed('web'));
    await cluster.plane.request('PATCH', `/api/v1/namespaces/${namespace.name}/services/web/status`, {
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.66' }] }, conditions: null },
    });
    const after = await namespace.until('web', 'its own address again', (service) =>
      before.every((address) => addresses(service).includes(address)),
    );
    expect(addresses(after)).toEqual(before);
  });
});
