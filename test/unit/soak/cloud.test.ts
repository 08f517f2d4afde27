/** The oracle has to notice what is wrong in the small cloud: each test takes one that is right and spoils one thing. */
import { describe, expect, it } from 'vitest';
import { node, service, servicePort } from '#test/fakes/builders';
import type { Service } from '#src/kube/wire';
import type { CloudState } from '#test/chaos/cloud';
import { judge } from '#test/soak/oracle/judge';
import type { World } from '#test/soak/oracle/world';

const ADDRESS = '198.18.0.1';
const TIME = '2026-01-01T00:00:00Z';
const OWNER = 'service/soak-a/w1';

function web(spec: Partial<NonNullable<Service['spec']>> = {}, annotations: Record<string, string> = {}): Service {
  const isKept = Object.keys(annotations).length > 0;
  const answers = isKept
    ? { Accepted: ['False', 'InvalidAnnotation', ''], Programmed: ['False', 'NotAccepted', ADDRESS], Ready: ['True'] }
    : { Accepted: ['True', 'Accepted'], Programmed: ['True', 'Programmed', `80/TCP ${ADDRESS}`], Ready: ['True'] };
  const conditions = Object.entries(answers).map(([type, [status = '', reason = 'HasTargets', message = '']]) => ({
    type: `ballast.dev/${type}`,
    status,
    reason,
    message,
    lastTransitionTime: TIME,
  }));
  const ports = (spec.ports ?? [{ port: 80 }]).map(({ port }) => ({ port, protocol: 'TCP' }));
  return service({
    metadata: { namespace: 'soak-a', name: 'w1', uid: 'u1', finalizers: ['ballast.dev/cloud'], annotations },
    spec: {
      loadBalancerClass: 'ballast.dev/cloud',
      ports: [servicePort({ nodePort: 30_000 })],
      ipFamilies: ['IPv4'],
      ...spec,
    },
    status: { loadBalancer: { ingress: [{ ip: ADDRESS, ipMode: 'VIP', ...(isKept && { ports }) }] }, conditions },
  });
}

const BALANCER = { id: 'balancer-1', owner: OWNER, members: ['u1'], addresses: [ADDRESS] };
const GROUP: CloudState['targetGroups'][number] = {
  id: 'target-group-1',
  owner: OWNER,
  member: 'u1',
  port: 80,
  protocol: 'TCP',
  families: ['IPv4'],
  config: JSON.stringify({ trafficPolicy: 'Cluster', sourceRanges: [], entries: [] }),
  targets: ['127.0.1.1:30000'],
};
const LISTENER: CloudState['listeners'][number] = {
  id: 'listener-1',
  balancer: BALANCER.id,
  targetGroup: GROUP.id,
  port: 80,
  protocol: 'TCP',
};
const RIGHT: CloudState = { balancers: [BALANCER], targetGroups: [GROUP], listeners: [LISTENER], addresses: [] };

function complaints(service: Service, cloud: Partial<CloudState> = {}): string {
  const world: World = {
    services: [service],
    nodes: [node({ metadata: { name: 'n1' }, addresses: ['127.0.1.1'] })],
    slices: [],
    sockets: [],
    followerSockets: [],
    cloud: { ...RIGHT, ...cloud },
    loadBalancers: { proxy: 0, cloud: 1 },
    plans: [],
    wanted: new Set(['soak-a/w1']),
    marks: () => ({ condition: false, finalizer: false, ingress: false }),
    pools: { proxy: [], cloud: [ADDRESS] },
    mayAskFor: () => true,
  };
  return judge(world, [], new Set()).complaints.join('\n');
}

describe('the oracle, of what exists in the cloud', () => {
  it('has nothing to say where all is right', () => {
    expect(complaints(web())).toBe('');
  });

  it('sees what is there for nobody', () => {
    const orphan = { ...GROUP, id: 'target-group-2', port: 81 };
    expect(complaints(web(), { targetGroups: [GROUP, orphan] })).toContain(
      'target-group-2 (81/TCP of service/soak-a/w1)',
    );
    const stranger = { ...BALANCER, id: 'balancer-2', owner: 'service/soak-a/gone', addresses: [] };
    expect(complaints(web(), { balancers: [BALANCER, stranger] })).toContain(
      'balancer-2 of service/soak-a/gone, though',
    );
    const loose = { ...LISTENER, id: 'listener-2', targetGroup: 'target-group-9' };
    expect(complaints(web(), { listeners: [LISTENER, loose] })).toContain('listener-2, which leads nowhere');
  });

  it('sees what is there twice or not at all', () => {
    expect(complaints(web(), { balancers: [BALANCER, { ...BALANCER, id: 'balancer-2' }] })).toContain(
      'has 2 load balancers',
    );
    expect(complaints(web(), { balancers: [] })).toContain('has 0 load balancers');
    expect(complaints(web(), { targetGroups: [], listeners: [] })).toContain('lacks 80/TCP of soak-a/w1');
    expect(complaints(web(), { listeners: [] })).toContain('has 0 listeners');
    expect(complaints(web(), { listeners: [LISTENER, { ...LISTENER, id: 'listener-2' }] })).toContain(
      'has 2 listeners',
    );
  });

  it('sees another address, tag, target, or way of balancing than is right', () => {
    const changed = (part: Partial<CloudState['targetGroups'][number]>): string =>
      complaints(web(), { targetGroups: [{ ...GROUP, ...part }] });
    const config = (part: object): string => changed({ config: JSON.stringify({ trafficPolicy: 'Cluster', ...part }) });
    expect(complaints(web(), { balancers: [{ ...BALANCER, addresses: ['198.18.0.2'] }] })).toContain('The address of');
    expect(complaints(web(), { balancers: [{ ...BALANCER, members: ['u1', 'u2'] }] })).toContain('The tag of');
    expect(changed({ targets: ['127.0.1.1:30000', '127.0.1.9:30000'] })).toContain('The targets of');
    expect(changed({ families: ['IPv6'] })).toContain('The families of');
    expect(config({ sourceRanges: ['192.0.2.0/24'] })).toContain('The source ranges of');
    expect(config({ trafficPolicy: 'Local' })).toContain('The traffic policy of');
    expect(config({ affinitySeconds: 5 })).toContain('The affinity of');
  });

  it('holds a Service that asks nonsense and goes on to its present facts', () => {
    const nonsense = { 'ballast.dev/algorithm': 'fastest' };
    expect(complaints(web({}, nonsense))).toBe('');
    expect(complaints(web({ loadBalancerSourceRanges: ['192.0.2.0/24'] }, nonsense))).toContain('The source ranges of');
    expect(complaints(web({ externalTrafficPolicy: 'Local' }, nonsense))).toContain('The traffic policy of');
    expect(complaints(web({ ports: [servicePort({ nodePort: 30_001 })] }, nonsense))).toContain('The targets of');
    const other = servicePort({ port: 81, nodePort: 30_001 });
    expect(complaints(web({ ports: [other] }, nonsense))).toContain(
      '(80/TCP of service/soak-a/w1), though nobody asks',
    );
  });

  it('finds a Service whose group makes no sense where it was', () => {
    const owner = 'group/soak-a/red';
    const moved = { balancers: [{ ...BALANCER, owner }], targetGroups: [{ ...GROUP, owner }] };
    expect(complaints(web({}, { 'ballast.dev/load-balancer': 'No Good!' }), moved)).toBe('');
    expect(complaints(web({}, { 'ballast.dev/load-balancer': 'blue' }), moved)).toContain(`of ${owner}, though nobody`);
  });

  it('wants no finalizer of a provider that is no longer in charge', () => {
    const { metadata, ...rest } = web();
    const finalizers = ['ballast.dev/cloud', 'ballast.dev/proxy'];
    expect(complaints({ ...rest, metadata: { ...metadata, finalizers } })).toContain('still has ballast.dev/proxy');
  });
});
