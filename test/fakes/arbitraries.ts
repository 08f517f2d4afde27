/** fast-check arbitraries for the domain: everything they give could have come out of a valid cluster. */
import * as fc from 'fast-check';
import type { Service } from '#src/kube/wire';
import {
  listenerKey,
  type DesiredLoadBalancer,
  type IpFamily,
  type Listener,
  type LoadBalancerId,
  type Member,
  type MemberSettings,
  type NodeSet,
  type Protocol,
  type WantedFamily,
} from '#src/loadbalancer/model';
import { desiredLoadBalancer, manyNodes, member, nodeSet, service, servicePort } from './builders.ts';

export interface DomainOptions {
  /** Protocols that listeners may have; TCP and UDP by default. */
  readonly protocols?: readonly Protocol[];
  /** Families that members may want; both by default. */
  readonly families?: readonly IpFamily[];
  /** Ports to choose from; a few, so that clashes and reuse happen, by default 80 to 89. */
  readonly ports?: { readonly min: number; readonly max: number };
  /** The settings that members may have; all by default. */
  readonly settings?: readonly (keyof MemberSettings)[];
  /** Most members of one load balancer; 3 by default. */
  readonly maxMembers?: number;
  /** Most listeners of one member; 4 by default. */
  readonly maxListeners?: number;
  /** Addresses that members may ask for; none by default. */
  readonly addresses?: readonly string[];
  /** Nodes to choose from; six by default. */
  readonly nodes?: NodeSet;
}

/** Any part of `all`, in its order. */
export function nodeSetArbitrary(all: NodeSet = manyNodes(6)): fc.Arbitrary<NodeSet> {
  return fc.subarray([...all.nodes]).map((nodes) => nodeSet(nodes));
}

/** Listeners without two of the same port and protocol; `member` is left for the owner to fill in. */
export function listenersArbitrary(options: DomainOptions = {}): fc.Arbitrary<readonly Omit<Listener, 'member'>[]> {
  const { protocols = ['TCP', 'UDP'], ports = { min: 80, max: 89 }, maxListeners = 4 } = options;
  return fc.uniqueArray(
    fc.record({
      port: fc.integer(ports),
      protocol: fc.constantFrom(...protocols),
      name: fc.constantFrom('', 'http', 'dns'),
      nodePort: fc.integer({ min: 30_000, max: 32_767 }),
    }),
    { minLength: 1, maxLength: maxListeners, selector: listenerKey },
  );
}

function familiesArbitrary(families: readonly IpFamily[]): fc.Arbitrary<readonly WantedFamily[]> {
  return fc
    .shuffledSubarray([...families], { minLength: 1 })
    .chain((chosen) =>
      fc.boolean().map((strict) => chosen.map((family, index) => ({ family, required: index === 0 || strict }))),
    );
}

const ALL_SETTINGS: { readonly [Name in keyof MemberSettings]-?: fc.Arbitrary<NonNullable<MemberSettings[Name]>> } = {
  algorithm: fc.constantFrom('round-robin', 'least-connections'),
  proxyProtocol: fc.constant('v2'),
  idleTimeoutSeconds: fc.integer({ min: 1, max: 86_400 }),
  maxConnections: fc.integer({ min: 1, max: 1_000_000 }),
  drainTimeoutSeconds: fc.integer({ min: 0, max: 3_600 }),
};

const SETTING_NAMES: readonly (keyof MemberSettings)[] = [
  'algorithm',
  'proxyProtocol',
  'idleTimeoutSeconds',
  'maxConnections',
  'drainTimeoutSeconds',
];

/** Any of the named settings, each absent or with a valid value. */
export function settingsArbitrary(
  names: readonly (keyof MemberSettings)[] = SETTING_NAMES,
): fc.Arbitrary<MemberSettings> {
  const chosen = Object.fromEntries(names.map((name) => [name, ALL_SETTINGS[name]]));
  return fc.record(chosen, { requiredKeys: [] });
}

const SOURCE_RANGES = ['192.0.2.0/24', '198.51.100.7/32', '0.0.0.0/1', '2001:db8::/32'];

/** A member with the given name; its UID is `uid-<name>`. */
export function memberArbitrary(name: string, options: DomainOptions = {}): fc.Arbitrary<Member> {
  const { families = ['IPv4', 'IPv6'], nodes = manyNodes(6) } = options;
  const policy = fc.oneof(
    fc.constant({}),
    fc.record({
      trafficPolicy: fc.constant('Local' as const),
      healthCheckNodePort: fc.integer({ min: 30_000, max: 32_767 }),
      endpointNodes: fc.subarray(nodes.nodes.map((node) => node.name)),
    }),
  );
  return fc
    .record({
      listeners: listenersArbitrary(options),
      families: familiesArbitrary(families),
      affinitySeconds: fc.option(fc.integer({ min: 1, max: 86_400 }), { nil: undefined }),
      sourceRanges: fc.subarray(SOURCE_RANGES),
      settings: settingsArbitrary(options.settings),
      policy,
    })
    .map(({ policy, ...rest }) => member({ name, ...rest, ...policy }));
}

/**
 * A desired load balancer with this id; a listener that an older member already has is left out, as building the
 * desired state does.
 */
export function desiredArbitrary(id: LoadBalancerId, options: DomainOptions = {}): fc.Arbitrary<DesiredLoadBalancer> {
  const { maxMembers = 3, addresses = [], nodes = manyNodes(6) } = options;
  const names =
    id.kind === 'service' ? [id.name] : Array.from({ length: maxMembers }, (_, index) => `${id.name}-${index}`);
  return fc
    .record({
      members: fc
        .shuffledSubarray(names, { minLength: 1 })
        .chain((chosen) => fc.tuple(...chosen.map((name) => memberArbitrary(name, options)))),
      requestedAddresses: fc.shuffledSubarray([...addresses], { maxLength: Math.min(2, addresses.length) }),
      askers: fc.array(fc.boolean(), { minLength: names.length, maxLength: names.length }),
      nodes: nodeSetArbitrary(nodes),
    })
    .map(({ askers, ...parts }) => {
      const members = withoutClashes(parts.members).map((each, index) => ({
        ...each,
        requestedAddresses: askers[index] ? parts.requestedAddresses : [],
      }));
      const asked = new Set(members.flatMap((each) => each.requestedAddresses));
      return desiredLoadBalancer({ id, ...parts, members, requestedAddresses: [...asked] });
    });
}

/** Leaves each port and protocol to the first member that has it, and drops members that are left with none. */
export function withoutClashes(members: readonly Member[]): readonly Member[] {
  const taken = new Set<string>();
  return members
    .map((each) => ({
      ...each,
      listeners: each.listeners.filter((listener) => {
        const key = listenerKey(listener);
        return !taken.has(key) && taken.add(key);
      }),
    }))
    .filter((each) => each.listeners.length > 0);
}

/** Annotation values: some that make sense, some that do not. */
const ANNOTATIONS = {
  'ballast.dev/algorithm': fc.constantFrom('round-robin', 'least-connections', 'random', ''),
  'ballast.dev/proxy-protocol': fc.constantFrom('v2', 'v1'),
  'ballast.dev/idle-timeout': fc.constantFrom('30', '0', '-1', 'soon'),
  'ballast.dev/load-balancer': fc.constantFrom('shared', 'other', 'elsewhere/shared', 'Not A Name', 'a/b/c'),
  'ballast.dev/addresses': fc.constantFrom('192.0.2.1', '192.0.2.1,2001:db8::1', '2001:db8::1', 'nowhere'),
  'example.com/unrelated': fc.string(),
} as const;

/**
 * A Service as an API server could store it, of any type and class, with annotations that make sense or not. `name`
 * is its name in the namespace `default`.
 */
export function serviceArbitrary(name = 'web'): fc.Arbitrary<Service> {
  const ports = fc.uniqueArray(
    fc.record({
      port: fc.integer({ min: 80, max: 84 }),
      protocol: fc.constantFrom('TCP', 'UDP', 'SCTP'),
      nodePort: fc.option(fc.integer({ min: 30_000, max: 32_767 }), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 4, selector: ({ port, protocol }) => `${port}/${protocol}` },
  );
  return fc
    .record({
      type: fc.constantFrom('LoadBalancer', 'LoadBalancer', 'LoadBalancer', 'NodePort', 'ClusterIP', 'ExternalName'),
      loadBalancerClass: fc.constantFrom('ballast.dev/proxy', 'example.com/other', null),
      ports,
      families: fc.constantFrom(['IPv4'], ['IPv6'], ['IPv4', 'IPv6'], ['IPv6', 'IPv4']),
      strict: fc.boolean(),
      policy: fc.constantFrom('Cluster', 'Local'),
      affinity: fc.constantFrom('None', 'ClientIP'),
      sourceRanges: fc.subarray([...SOURCE_RANGES, ' 10.0.0.0/8 ', 'everyone', '10.0.0.1']),
      annotations: fc.record(ANNOTATIONS, { requiredKeys: [] }),
    })
    .map(({ type, loadBalancerClass, ports, families, strict, policy, affinity, sourceRanges, annotations }) => {
      const external = type === 'LoadBalancer' || type === 'NodePort';
      const balanced = type === 'LoadBalancer';
      return service({
        metadata: { name, annotations },
        loadBalancerClass,
        spec: {
          type,
          ports: ports.map(({ nodePort, ...port }) =>
            servicePort({ ...port, name: `${port.protocol.toLowerCase()}-${port.port}`, nodePort: nodePort ?? 0 }),
          ),
          ipFamilies: families,
          ipFamilyPolicy: families.length === 1 ? 'SingleStack' : strict ? 'RequireDualStack' : 'PreferDualStack',
          sessionAffinity: affinity,
          ...(affinity === 'ClientIP' ? { sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } } : {}),
          ...(external ? { externalTrafficPolicy: policy } : {}),
          ...(balanced && policy === 'Local' ? { healthCheckNodePort: 32_000 } : {}),
          ...(balanced && sourceRanges.length > 0 ? { loadBalancerSourceRanges: sourceRanges } : {}),
        },
      });
    });
}
