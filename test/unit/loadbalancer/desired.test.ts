import { describe, expect, it } from 'vitest';
import { endpointSlice, groupId, nodeSet, service, serviceId, servicePort } from '#test/fakes/builders';
import type { ServiceOptions } from '#test/fakes/builders';
import type { EndpointSlice, Service } from '#src/kube/wire';
import { buildDesired, type DesiredInput, type DesiredResult } from '#src/loadbalancer/desired';
import type { Capabilities } from '#src/loadbalancer/provider';

const capabilities: Capabilities = {
  needsNodePorts: true,
  protocols: ['TCP', 'UDP'],
  ipMode: 'Proxy',
  sharing: true,
  maxListeners: 4,
  settings: ['algorithm', 'idleTimeoutSeconds', 'drainTimeoutSeconds', 'maxConnections'],
  inProcess: true,
  seenFromOutside: false,
};

interface Input extends Partial<Omit<DesiredInput, 'endpointSlicesOf' | 'capabilities'>> {
  readonly capabilities?: Partial<Capabilities>;
  readonly slices?: readonly EndpointSlice[];
}

function build(services: readonly Service[], options: Input = {}): DesiredResult {
  const { slices = [], ...rest } = options;
  return buildDesired({
    id: serviceId(),
    services,
    nodes: nodeSet(),
    allowedGroups: new Map(),
    addressGrants: [{ addresses: '*', namespaces: '*' }],
    endpointSlicesOf: () => slices,
    ...rest,
    capabilities: { ...capabilities, ...options.capabilities },
  });
}

function one(options: ServiceOptions, input?: Input): DesiredResult {
  return build([service(options)], input);
}

const annotated = (annotations: Readonly<Record<string, string>>): ServiceOptions => ({ metadata: { annotations } });
const dual: ServiceOptions = { spec: { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'PreferDualStack' } };

describe('one Service', () => {
  it('becomes one member with everything that decides', () => {
    const { desired, refusals, warnings } = one({
      spec: {
        ports: [servicePort({ name: 'http' }), servicePort({ port: 53, protocol: 'UDP', nodePort: 30_053 })],
        sessionAffinity: 'ClientIP',
        loadBalancerSourceRanges: [' 10.1.2.3/8 ', '2001:db8::/32', '10.0.0.0/8'],
      },
      ...annotated({ 'ballast.dev/algorithm': 'least-connections', 'ballast.dev/idle-timeout': '30' }),
    });
    expect(refusals).toEqual([]);
    expect(warnings).toEqual([]);
    expect(desired).toEqual({
      id: serviceId(),
      members: [
        {
          ref: { namespace: 'default', name: 'web', uid: 'service-default-web' },
          listeners: [
            { member: 'service-default-web', name: 'http', port: 80, protocol: 'TCP', nodePort: 30_080 },
            { member: 'service-default-web', name: '', port: 53, protocol: 'UDP', nodePort: 30_053 },
          ],
          families: [{ family: 'IPv4', required: true }],
          trafficPolicy: 'Cluster',
          healthCheckNodePort: undefined,
          endpointNodes: undefined,
          affinitySeconds: 10_800,
          sourceRanges: ['10.0.0.0/8', '2001:db8::/32'],
          requestedAddresses: [],
          settings: { algorithm: 'least-connections', idleTimeoutSeconds: 30 },
        },
      ],
      requestedAddresses: [],
      publishedAddresses: [],
      nodes: nodeSet(),
    });
  });

  it.each<[string, Service['spec'], readonly { family: string; required: boolean }[]]>([
    ['SingleStack', { ipFamilies: ['IPv6'] }, [{ family: 'IPv6', required: true }]],
    [
      'PreferDualStack',
      { ipFamilies: ['IPv6', 'IPv4'], ipFamilyPolicy: 'PreferDualStack' },
      [
        { family: 'IPv6', required: true },
        { family: 'IPv4', required: false },
      ],
    ],
    [
      'RequireDualStack',
      { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' },
      [
        { family: 'IPv4', required: true },
        { family: 'IPv6', required: true },
      ],
    ],
  ])('wants the families of %s', (_, spec, families) => {
    expect(one({ spec }).desired?.members[0]?.families).toEqual(families);
  });

  it('keeps its own affinity time', () => {
    const spec = { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } };
    expect(one({ spec }).desired?.members[0]?.affinitySeconds).toBe(60);
  });

  it('takes what its status shows for published', () => {
    const ingress = [{ ip: '2001:DB8::1' }, { hostname: 'lb.example' }, { ip: '192.0.2.1' }, { ip: '192.0.2.1' }];
    const { desired } = one({ status: { loadBalancer: { ingress } } });
    expect(desired?.publishedAddresses).toEqual(['2001:db8::1', 'lb.example', '192.0.2.1']);
  });
});

describe('source ranges', () => {
  const annotation = 'service.beta.kubernetes.io/load-balancer-source-ranges';
  it.each<[string, ServiceOptions, readonly string[]]>([
    ['none', {}, []],
    ['the annotation', annotated({ [annotation]: ' 10.0.0.0/8, 192.0.2.1/32 ' }), ['10.0.0.0/8', '192.0.2.1/32']],
    ['an empty annotation', annotated({ [annotation]: ' ' }), []],
    [
      'the spec before the annotation',
      { spec: { loadBalancerSourceRanges: ['10.0.0.0/8'] }, ...annotated({ [annotation]: 'nonsense' }) },
      ['10.0.0.0/8'],
    ],
  ])('are read from: %s', (_, options, ranges) => {
    expect(one(options).desired?.members[0]?.sourceRanges).toEqual(ranges);
  });

  it.each<[string, ServiceOptions, string]>([
    [
      'everyone',
      { spec: { loadBalancerSourceRanges: ['10.0.0.0/8', 'everyone'] } },
      'spec.loadBalancerSourceRanges[1]',
    ],
    ['10.0.0.1', { spec: { loadBalancerSourceRanges: ['10.0.0.1'] } }, 'spec.loadBalancerSourceRanges[0]'],
    ['x', annotated({ [annotation]: '10.0.0.0/8,x' }), `metadata.annotations[${annotation}]`],
    ['""', annotated({ [annotation]: '10.0.0.0/8,' }), `metadata.annotations[${annotation}]`],
  ])('refuse the whole Service for %s', (text, options, field) => {
    const { desired, refusals } = one(options);
    expect(desired).toBeUndefined();
    expect(refusals).toEqual([
      { member: 'service-default-web', code: 'InvalidSourceRange', field, message: expect.stringContaining(text) },
    ]);
  });
});

describe('requested addresses', () => {
  it.each<[string, ServiceOptions, readonly string[]]>([
    ['the annotation', annotated({ 'ballast.dev/addresses': ' 192.0.2.7 ' }), ['192.0.2.7']],
    [
      'both families',
      { ...dual, ...annotated({ 'ballast.dev/addresses': '2001:DB8::7, 192.0.2.7' }) },
      ['2001:db8::7', '192.0.2.7'],
    ],
    ['spec.loadBalancerIP', { spec: { loadBalancerIP: '192.0.2.8' } }, ['192.0.2.8']],
    [
      'both, the same',
      { spec: { loadBalancerIP: '192.0.2.7' }, ...annotated({ 'ballast.dev/addresses': '192.0.2.7' }) },
      ['192.0.2.7'],
    ],
    ['the same twice', annotated({ 'ballast.dev/addresses': '192.0.2.7,192.0.2.7' }), ['192.0.2.7']],
    ['an empty annotation', annotated({ 'ballast.dev/addresses': '' }), []],
  ])('are read from: %s', (_, options, addresses) => {
    const { desired, refusals } = one(options);
    expect(refusals).toEqual([]);
    expect(desired?.requestedAddresses).toEqual(addresses);
    expect(desired?.members[0]?.requestedAddresses).toEqual(addresses);
  });

  it.each<[string, ServiceOptions, string]>([
    ['something else', annotated({ 'ballast.dev/addresses': 'nowhere' }), '"nowhere"'],
    ['a CIDR', annotated({ 'ballast.dev/addresses': '192.0.2.0/24' }), '"192.0.2.0/24"'],
    ['an empty part', annotated({ 'ballast.dev/addresses': '192.0.2.1,' }), '""'],
    ['two of one family', annotated({ 'ballast.dev/addresses': '192.0.2.1,192.0.2.2' }), 'two IPv4'],
    ['another family', annotated({ 'ballast.dev/addresses': '2001:db8::1' }), 'spec.ipFamilies'],
    ['a bad loadBalancerIP', { spec: { loadBalancerIP: 'x' } }, '"x"'],
    [
      'two different places',
      { spec: { loadBalancerIP: '192.0.2.8' }, ...annotated({ 'ballast.dev/addresses': '192.0.2.7' }) },
      'different addresses',
    ],
  ])('are refused for %s', (_, options, text) => {
    const { desired, refusals } = one(options);
    expect(desired).toBeUndefined();
    expect(refusals).toEqual([expect.objectContaining({ code: 'InvalidAnnotation', field: expect.any(String) })]);
    expect(refusals[0]?.message).toContain(text);
  });
});

describe('annotations', () => {
  it.each([
    ['ballast.dev/algorithm', 'random', '`round-robin`'],
    ['ballast.dev/algorithm', '', '`round-robin`'],
    ['ballast.dev/idle-timeout', '0', '1 to 86400'],
    ['ballast.dev/idle-timeout', '86401', '1 to 86400'],
    ['ballast.dev/idle-timeout', '1e3', 'whole seconds'],
    ['ballast.dev/idle-timeout', '-1', 'whole seconds'],
    ['ballast.dev/drain-timeout', '3601', '0 to 3600'],
    ['ballast.dev/max-connections', '99999999999', '1 to 1000000'],
  ])('refuse %s: %j', (annotation, value, form) => {
    const { desired, refusals } = one(annotated({ [annotation]: value }));
    expect(desired).toBeUndefined();
    expect(refusals).toMatchObject([{ code: 'InvalidAnnotation', field: `metadata.annotations[${annotation}]` }]);
    expect(refusals[0]?.message).toContain(form);
  });

  it('refuse what the provider does not honour, instead of ignoring it', () => {
    const { desired, refusals } = one(annotated({ 'ballast.dev/proxy-protocol': 'v2' }));
    expect(desired).toBeUndefined();
    expect(refusals).toMatchObject([{ code: 'InvalidAnnotation' }]);
    expect(refusals[0]?.message).toContain('does not support');
  });

  it('refuse a group where the provider cannot share', () => {
    const options = annotated({ 'ballast.dev/load-balancer': 'shared' });
    expect(one(options, { capabilities: { sharing: false } }).refusals).toMatchObject([{ code: 'InvalidAnnotation' }]);
    expect(one(options).refusals).toEqual([]);
  });

  it.each([
    'ballast.dev/algorithm',
    'ballast.dev/addresses',
    'ballast.dev/load-balancer',
    'service.beta.kubernetes.io/load-balancer-source-ranges',
  ])('do not flood messages with a huge value: %s', (annotation) => {
    const { refusals } = one(annotated({ [annotation]: 'x'.repeat(100_000) }));
    expect(refusals).toHaveLength(1);
    expect(refusals[0]?.message.length).toBeLessThan(500);
  });

  it('name all that is wrong, not only the first', () => {
    const options = annotated({
      'ballast.dev/algorithm': 'x',
      'ballast.dev/idle-timeout': 'x',
      'ballast.dev/addresses': 'x',
    });
    expect(one(options).refusals).toHaveLength(3);
  });

  it('warn of unknown keys under our prefix with the nearest name', () => {
    const { desired, warnings } = one(
      annotated({ 'ballast.dev/algoritm': 'x', 'ballast.dev/zzz': 'x', 'example.com/algoritm': 'x' }),
    );
    expect(desired).toBeDefined();
    expect(warnings.map(({ message }) => message)).toEqual([
      'The annotation ballast.dev/algoritm is unknown; did you mean ballast.dev/algorithm?',
      'The annotation ballast.dev/zzz is unknown and does nothing.',
    ]);
  });
});

describe('many unknown annotations', () => {
  it('are named up to five, and counted', () => {
    const keys = Array.from({ length: 10_000 }, (_, index) => [`ballast.dev/x${index}`, '']);
    const { warnings } = one(annotated(Object.fromEntries(keys)));
    expect(warnings).toHaveLength(6);
    expect(warnings.at(-1)?.message).toBe('9995 more annotations under ballast.dev/ are unknown.');
  });
});

describe('ports', () => {
  it('are refused alone when the provider lacks the protocol', () => {
    const ports = [servicePort(), servicePort({ port: 132, protocol: 'SCTP' })];
    const { desired, refusals } = one({ spec: { ports } });
    expect(desired?.members[0]?.listeners.map(({ port }) => port)).toEqual([80]);
    expect(refusals).toEqual([
      {
        member: 'service-default-web',
        code: 'UnsupportedProtocol',
        field: 'spec.ports[1].protocol',
        listener: { port: 132, protocol: 'SCTP' },
        message: expect.stringContaining('SCTP'),
      },
    ]);
  });

  it('leave no load balancer when none is left', () => {
    expect(one({ spec: { ports: [servicePort({ protocol: 'SCTP' })] } }).desired).toBeUndefined();
    expect(one({ spec: { ports: [] } })).toEqual({ desired: undefined, refusals: [], warnings: [] });
  });

  it('wait for a NodePort where the provider needs one', () => {
    const ports = [servicePort({ nodePort: 0 }), servicePort({ port: 81 })];
    const { desired, refusals } = one({ spec: { ports } });
    expect(desired?.members[0]?.listeners.map(({ port }) => port)).toEqual([81]);
    expect(refusals).toMatchObject([{ code: 'NodePortMissing', listener: { port: 80, protocol: 'TCP' } }]);
    const without = one({ spec: { ports } }, { capabilities: { needsNodePorts: false } });
    expect(without.desired?.members[0]?.listeners.map(({ nodePort }) => nodePort)).toEqual([undefined, 30_081]);
  });

  it('are refused beyond as many as the provider allows', () => {
    const ports = [1, 2, 3, 4, 5, 6].map((port) => servicePort({ port }));
    const { desired, refusals } = one({ spec: { ports } });
    expect(desired?.members[0]?.listeners.map(({ port }) => port)).toEqual([1, 2, 3, 4]);
    expect(refusals).toMatchObject([
      { code: 'TooManyListeners', listener: { port: 5 } },
      { code: 'TooManyListeners', listener: { port: 6 } },
    ]);
  });
});

describe('the Local policy', () => {
  const local: ServiceOptions = { spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 } };
  const slices = [
    endpointSlice({
      endpoints: [
        { nodeName: 'ready', ready: true },
        { nodeName: 'serving', ready: false, serving: true, terminating: true },
        { nodeName: 'down', ready: false, serving: false },
      ],
    }),
    endpointSlice({ endpoints: [{ nodeName: 'also-ready' }, { nodeName: '' }] }),
  ];

  it('names the nodes with an endpoint that can take traffic', () => {
    const [member] = one(local, { slices }).desired?.members ?? [];
    expect(member).toMatchObject({ trafficPolicy: 'Local', healthCheckNodePort: 32_000 });
    expect(member?.endpointNodes).toEqual(['also-ready', 'ready']);
  });

  it('counts endpoints that are not ready where the Service publishes them', () => {
    const spec = { ...local.spec, publishNotReadyAddresses: true };
    expect(one({ spec }, { slices }).desired?.members[0]?.endpointNodes).toContain('down');
  });

  it('takes absent conditions for true', () => {
    const [slice] = slices;
    const bare: EndpointSlice = { ...slice!, endpoints: [{ addresses: ['10.0.0.1'], nodeName: 'n' }] };
    expect(one(local, { slices: [bare] }).desired?.members[0]?.endpointNodes).toEqual(['n']);
  });

  it('may have no node at all', () => {
    expect(one(local).desired?.members[0]?.endpointNodes).toEqual([]);
  });
});

describe('a group', () => {
  const id = groupId();
  const join = (name: string, created: string, options: ServiceOptions = {}): Service =>
    service({
      ...options,
      metadata: {
        name,
        creationTimestamp: `2026-01-01T00:00:0${created}Z`,
        ...options.metadata,
        annotations: { 'ballast.dev/load-balancer': 'shared', ...options.metadata?.annotations },
      },
    });

  it('leaves a port to the oldest and everything else to the younger', () => {
    const old = join('z-old', '1');
    const young = join('a-young', '2', { spec: { ports: [servicePort(), servicePort({ port: 443 })] } });
    const { desired, refusals } = build([young, old], { id });
    expect(desired?.members.map(({ ref, listeners }) => [ref.name, listeners.map(({ port }) => port)])).toEqual([
      ['z-old', [80]],
      ['a-young', [443]],
    ]);
    expect(refusals).toEqual([
      {
        member: 'service-default-a-young',
        code: 'PortConflict',
        field: 'spec.ports',
        listener: { port: 80, protocol: 'TCP' },
        message: expect.stringContaining('default/z-old already has 80/TCP'),
      },
    ]);
  });

  it('lets TCP and UDP share a port number', () => {
    const { refusals } = build(
      [join('a', '1'), join('b', '2', { spec: { ports: [servicePort({ protocol: 'UDP' })] } })],
      { id },
    );
    expect(refusals).toEqual([]);
  });

  it('decides by name, then by UID, between Services of the same age', () => {
    const twins = [join('b', '1'), join('a', '1')];
    expect(build(twins, { id }).desired?.members[0]?.ref.name).toBe('a');
    const namesakes = ['y', 'x'].map((uid) => join('a', '1', { metadata: { uid } }));
    expect(build(namesakes, { id }).desired?.members[0]?.ref.uid).toBe('x');
  });

  it('drops a member without any port left, and serves it when the older is gone', () => {
    const [old, young] = [join('old', '1'), join('young', '2')];
    expect(build([old, young], { id }).desired?.members).toHaveLength(1);
    expect(build([young], { id }).desired?.members).toHaveLength(1);
  });

  it('loses nothing by a member that asks nonsense', () => {
    const bad = join('bad', '1', annotated({ 'ballast.dev/algorithm': 'x' }));
    const { desired, refusals } = build([bad, join('good', '2')], { id });
    expect(desired?.members.map(({ ref }) => ref.name)).toEqual(['good']);
    expect(refusals.map(({ member }) => member)).toEqual(['service-default-bad']);
  });

  it('counts listeners over all members', () => {
    const ports = (from: number): ServiceOptions => ({
      spec: { ports: [0, 1, 2].map((n) => servicePort({ port: from + n })) },
    });
    const { desired, refusals } = build([join('a', '1', ports(10)), join('b', '2', ports(20))], { id });
    expect(desired?.members.flatMap(({ listeners }) => listeners.map(({ port }) => port))).toEqual([10, 11, 12, 20]);
    expect(refusals.map(({ code }) => code)).toEqual(['TooManyListeners', 'TooManyListeners']);
  });

  it('asks for the address of its oldest member that asks for one', () => {
    const asking = (address: string): ServiceOptions => annotated({ 'ballast.dev/addresses': address });
    const on = (port: number, options: ServiceOptions): ServiceOptions => ({
      ...options,
      spec: { ports: [servicePort({ port })] },
    });
    const { desired, refusals } = build(
      [
        join('c', '3', on(3, asking('192.0.2.2'))),
        join('b', '2', on(2, asking('192.0.2.1'))),
        join('a', '1', on(1, {})),
        join('d', '4', on(4, asking('192.0.2.1'))),
      ],
      { id },
    );
    expect(desired?.requestedAddresses).toEqual(['192.0.2.1']);
    expect(desired?.members.map(({ ref }) => ref.name)).toEqual(['a', 'b', 'd']);
    expect(refusals).toMatchObject([{ member: 'service-default-c', code: 'InvalidAnnotation' }]);
    expect(refusals[0]?.message).toContain('default/b');
  });

  it('shows the published addresses of those it serves, the oldest first', () => {
    const shows = (ip: string, port: number): ServiceOptions => ({
      spec: { ports: [servicePort({ port })] },
      status: { loadBalancer: { ingress: [{ ip }] } },
    });
    const bad = join('bad', '0', { ...shows('192.0.2.9', 9), ...annotated({ 'ballast.dev/algorithm': 'x' }) });
    const { desired } = build([join('b', '2', shows('192.0.2.2', 2)), join('a', '1', shows('192.0.2.1', 1)), bad], {
      id,
    });
    expect(desired?.publishedAddresses).toEqual(['192.0.2.1', '192.0.2.2']);
  });
});
