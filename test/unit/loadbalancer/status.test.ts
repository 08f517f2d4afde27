import { describe, expect, it } from 'vitest';
import { deepFreeze, listener, member, service, servicePort } from '#test/fakes/builders';
import type { Service } from '#src/kube/wire';
import type { Member, Refusal } from '#src/loadbalancer/model';
import type { Address, LoadBalancerStatus } from '#src/loadbalancer/provider';
import { clearedStatusFields, memberStatus, statusFields, type MemberView } from '#src/loadbalancer/status';

const UID = 'service-default-web';
const V4: Address = { kind: 'ip', ip: '192.0.2.1', family: 'IPv4' };
const V6: Address = { kind: 'ip', ip: '2001:db8::1', family: 'IPv6' };
const HOST: Address = { kind: 'hostname', hostname: 'lb.example' };
const NOW = '2026-02-01T00:00:00Z';

const twoPorts: readonly { port: number }[] = [{ port: 80 }, { port: 443 }];
const web = service({ spec: { ports: twoPorts.map(({ port }) => servicePort({ port })) } });
const served: Member = member({ uid: UID, listeners: twoPorts });

function observed(addresses: readonly Address[] = [V4], ready = true): LoadBalancerStatus {
  const readiness = { ready, reason: ready ? 'Healthy' : 'Sick', message: 'As it is.' };
  return { addresses, readiness: new Map([[UID, readiness]]) };
}

function view(options: Partial<MemberView> = {}): MemberView {
  return deepFreeze({
    service: web,
    provider: 'proxy',
    ipMode: 'Proxy',
    member: served,
    kept: false,
    refusals: [],
    failures: [],
    warnings: [],
    observed: observed(),
    noNodes: false,
    ...options,
  });
}

function answers(options: Partial<MemberView> = {}): readonly string[] {
  return memberStatus(view(options)).answers.map(
    ({ type, status, reason }) => `${type.replace('ballast.dev/', '')} ${status} ${reason}`,
  );
}

const onPort = (port: number, code: Refusal['code'] = 'PortConflict'): Omit<Refusal, 'member'> => ({
  code,
  message: `Not ${port}.`,
  listener: { port, protocol: 'TCP' },
});

describe('the ingress of a member', () => {
  it('has its addresses with the mode, and no ports while all is well', () => {
    expect(memberStatus(view()).ingress).toEqual([{ ip: '192.0.2.1', ipMode: 'Proxy' }]);
  });

  it('has no mode with a hostname', () => {
    expect(memberStatus(view({ observed: observed([HOST]) })).ingress).toEqual([{ hostname: 'lb.example' }]);
  });

  it('shows only the families of the Service, in its order', () => {
    const both = [V4, V6];
    const families = [
      { family: 'IPv6', required: true },
      { family: 'IPv4', required: false },
    ] as const;
    const ips = (each: Member): readonly unknown[] =>
      memberStatus(view({ member: each, observed: observed(both) })).ingress.map(({ ip }) => ip);
    expect(ips({ ...served, families })).toEqual(['2001:db8::1', '192.0.2.1']);
    expect(ips({ ...served, families: families.slice(0, 1) })).toEqual(['2001:db8::1']);
    expect(ips(served)).toEqual(['192.0.2.1']);
  });

  it('lists every port once one has an error', () => {
    const { ingress } = memberStatus(view({ failures: [onPort(443, 'ListenFailed')] }));
    expect(ingress).toEqual([
      {
        ip: '192.0.2.1',
        ipMode: 'Proxy',
        ports: [
          { port: 80, protocol: 'TCP' },
          { port: 443, protocol: 'TCP', error: 'ballast.dev/ListenFailed' },
        ],
      },
    ]);
  });

  it('lists every port where no condition names those that are served', () => {
    const listed = (options: Partial<MemberView>): readonly unknown[] =>
      memberStatus(view(options)).ingress.map(({ ports }) => ports);
    const all = [
      { port: 80, protocol: 'TCP' },
      { port: 443, protocol: 'TCP' },
    ];
    expect(listed({})).toEqual([undefined]);
    expect(listed({ failures: [{ code: 'ApiUnavailable', message: 'No answer.' }] })).toEqual([all]);
    expect(listed({ refusals: [{ code: 'InvalidAnnotation', message: 'Bad.', kept: true }] })).toEqual([all]);
    const ports = Array.from({ length: 11 }, (_, index) => ({ port: 1_000 + index, protocol: 'TCP' as const }));
    const listeners = ports.map((port) => listener(port));
    const many = service({ spec: { ports: ports.map(({ port }) => servicePort({ port })) } });
    expect(listed({ service: many, member: { ...served, listeners } })).toEqual([ports]);
    expect(listed({ service: many, member: { ...served, listeners: listeners.slice(1) } })).toEqual([undefined]);
  });

  it('is empty when nothing of the Service is served', () => {
    expect(memberStatus(view({ member: undefined, refusals: [onPort(80), onPort(443)] })).ingress).toEqual([]);
    expect(memberStatus(view({ refusals: [{ code: 'AddressInUse', message: 'Taken.' }] })).ingress).toEqual([]);
    expect(memberStatus(view({ observed: undefined })).ingress).toEqual([]);
    expect(memberStatus(view({ observed: observed([]) })).ingress).toEqual([]);
  });

  it('is what the load balancer has when that is left alone', () => {
    const refusals = [{ code: 'InvalidAnnotation', message: 'Bad.' } as const];
    expect(memberStatus(view({ kept: true, refusals })).ingress).toMatchObject([{ ip: '192.0.2.1', ipMode: 'Proxy' }]);
    expect(memberStatus(view({ kept: true, refusals, member: undefined })).ingress).toEqual([]);
  });
});

describe('the conditions of a member', () => {
  it.each<[string, Partial<MemberView>, readonly string[]]>([
    ['all is well', {}, ['Accepted True Accepted', 'Programmed True Programmed', 'Ready True Healthy']],
    [
      'no target is healthy',
      { observed: observed([V4], false) },
      ['Accepted True Accepted', 'Programmed True Programmed', 'Ready False Sick'],
    ],
    [
      'there is no node',
      { noNodes: true },
      ['Accepted True Accepted', 'Programmed True Programmed', 'Ready False NoNodes'],
    ],
    [
      'there is no address yet',
      { observed: observed([]) },
      ['Accepted True Accepted', 'Programmed False Pending', 'Ready False NotProgrammed'],
    ],
    [
      'the request makes no sense',
      { member: undefined, refusals: [{ code: 'InvalidSourceRange', message: 'Bad.' }], observed: undefined },
      ['Accepted False InvalidSourceRange', 'Programmed False NotAccepted', 'Ready False NotAccepted'],
    ],
    [
      'the provider does not have the address',
      { refusals: [{ code: 'AddressNotInPool', message: 'Not ours.' }] },
      ['Accepted False AddressNotInPool', 'Programmed False NotAccepted', 'Ready False NotAccepted'],
    ],
    [
      'another load balancer has the address',
      { refusals: [{ code: 'AddressInUse', message: 'Taken.' }] },
      ['Accepted True Accepted', 'Programmed False AddressInUse', 'Ready False NotProgrammed'],
    ],
    [
      'one port of two is taken',
      { member: { ...served, listeners: served.listeners.slice(1) }, refusals: [onPort(80)] },
      ['Accepted True Accepted', 'Programmed False PortConflict', 'Ready True Healthy'],
    ],
    [
      'one port of two has a protocol that cannot be carried',
      { member: { ...served, listeners: served.listeners.slice(1) }, refusals: [onPort(80, 'UnsupportedProtocol')] },
      ['Accepted True Accepted', 'Programmed False UnsupportedProtocol', 'Ready True Healthy'],
    ],
    [
      'no port can be carried',
      { member: undefined, refusals: [onPort(80, 'UnsupportedProtocol')], observed: undefined },
      ['Accepted False UnsupportedProtocol', 'Programmed False NotAccepted', 'Ready False NotAccepted'],
    ],
    [
      'all ports are taken',
      { member: undefined, refusals: [onPort(80), onPort(443)], observed: undefined },
      ['Accepted True Accepted', 'Programmed False PortConflict', 'Ready False NotProgrammed'],
    ],
    [
      'a step failed',
      { failures: [onPort(443, 'ListenFailed')] },
      ['Accepted True Accepted', 'Programmed False ListenFailed', 'Ready True Healthy'],
    ],
    [
      'preparing failed before anything was made',
      { member: undefined, failures: [{ code: 'ApiForbidden', message: 'No.' }], observed: undefined },
      ['Accepted True Accepted', 'Programmed False ApiForbidden', 'Ready False NotProgrammed'],
    ],
    [
      'the Service has no port',
      { member: undefined, observed: undefined },
      ['Accepted False NoPorts', 'Programmed False NotAccepted', 'Ready False NotAccepted'],
    ],
  ])('when %s', (_, options, expected) => {
    expect(answers(options)).toEqual(expected);
  });

  it('tell the readiness of a load balancer that is left alone', () => {
    const refusals = [{ code: 'InvalidAnnotation', message: 'Bad.' } as const];
    expect(answers({ kept: true, refusals })).toEqual([
      'Accepted False InvalidAnnotation',
      'Programmed False NotAccepted',
      'Ready True Healthy',
    ]);
  });

  it('tell all that is wrong, each once, and not without end', () => {
    const many = Array.from({ length: 100 }, (_, index) => onPort(index + 1));
    const [, programmed] = memberStatus(view({ refusals: [...many, ...many] })).answers;
    expect(programmed?.message).toContain('Not 1. Not 2.');
    expect(programmed?.message).toMatch(/Not 10\. and 90 more$/);
  });

  it('name ports, address and warnings', () => {
    const [accepted, programmed] = memberStatus(view({ warnings: ['The annotation x is unknown'] })).answers;
    expect(accepted?.message).toBe('The provider proxy takes this Service. The annotation x is unknown');
    expect(programmed?.message).toBe('Serves 80/TCP, 443/TCP at 192.0.2.1.');
  });
});

describe('the fields of the status', () => {
  const fresh = statusFields(web, memberStatus(view()), NOW);
  const written: Service = {
    ...web,
    status: {
      loadBalancer: { ingress: fresh?.loadBalancer.ingress ?? [] },
      conditions: [
        { type: 'example.com/First', status: 'True', reason: 'X', message: '', lastTransitionTime: NOW },
        ...(fresh?.conditions ?? []),
      ],
    },
  };
  const later = '2026-03-01T00:00:00Z';

  it('are all written at first', () => {
    expect(fresh).toMatchObject({ loadBalancer: { ingress: [{ ip: '192.0.2.1', ipMode: 'Proxy' }] } });
    expect(fresh?.conditions?.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual([NOW, NOW, NOW]);
  });

  it('are not written when nothing differs', () => {
    expect(statusFields(written, memberStatus(view({ service: written })), later)).toBeUndefined();
  });

  it('take what the API server fills in for written', () => {
    const ingress = [{ ip: '192.0.2.1' }];
    const shown = { ...written, status: { ...written.status, loadBalancer: { ingress } } };
    expect(statusFields(shown, memberStatus(view({ service: shown, ipMode: 'VIP' })), later)).toBeUndefined();
    expect(statusFields(shown, memberStatus(view({ service: shown, ipMode: 'Proxy' })), later)).toBeDefined();
  });

  it('change the time only where the status changes, and leave foreign conditions in place', () => {
    const sick = memberStatus(view({ service: written, observed: observed([V4], false) }));
    const fields = statusFields(written, sick, later);
    expect(fields?.conditions?.map(({ type, lastTransitionTime }) => [type, lastTransitionTime])).toEqual([
      ['example.com/First', NOW],
      ['ballast.dev/Accepted', NOW],
      ['ballast.dev/Programmed', NOW],
      ['ballast.dev/Ready', later],
    ]);
  });

  it('say which generation they are about', () => {
    const generation = { ...written, metadata: { ...written.metadata, generation: 7 } };
    const fields = statusFields(generation, memberStatus(view({ service: generation })), later);
    expect(fields?.conditions?.map(({ observedGeneration }) => observedGeneration)).toEqual([undefined, 7, 7, 7]);
  });

  it('remove lists that become empty', () => {
    const nothing = memberStatus(view({ service: written, member: undefined, observed: undefined }));
    expect(statusFields(written, nothing, later)?.loadBalancer.ingress).toBeNull();
  });

  it('are cleared without touching what is foreign', () => {
    expect(clearedStatusFields(written)).toEqual({
      loadBalancer: { ingress: null },
      conditions: [written.status?.conditions?.[0]],
    });
    expect(clearedStatusFields(web)).toBeUndefined();
    const own = { ...written, status: { ...written.status, conditions: fresh?.conditions ?? [] } };
    expect(clearedStatusFields(own)?.conditions).toBeNull();
  });
});
