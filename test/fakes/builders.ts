/**
 * Short ways to write the objects that tests are about: each builder gives a whole, plausible object, and a test
 * names only what matters to it. Everything is derived from the arguments, so the same call gives an equal object.
 */
import type { EndpointSlice, Node, ObjectMeta, Service, ServicePort } from '#src/kube/wire';
import type {
  DesiredLoadBalancer,
  IpFamily,
  Listener,
  LoadBalancerId,
  Member,
  NodeSet,
  NodeTarget,
} from '#src/loadbalancer/model';

const CREATED = '2026-01-01T00:00:00Z';

export interface MetaOptions extends Partial<ObjectMeta> {
  readonly name?: string;
}

function meta(options: MetaOptions, kind: string, fallbackName: string): ObjectMeta {
  const { name = fallbackName, namespace, ...rest } = options;
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid: namespace === undefined ? `${kind}-${name}` : `${kind}-${namespace}-${name}`,
    resourceVersion: '1',
    creationTimestamp: CREATED,
    ...rest,
  };
}

/** A port as the API server stores it: 80/TCP on NodePort 30080 unless told otherwise. */
export function servicePort(options: Partial<ServicePort> = {}): ServicePort {
  const port = options.port ?? 80;
  return { port, protocol: 'TCP', targetPort: 8080, nodePort: 30_000 + (port % 2_768), ...options };
}

export interface ServiceOptions {
  /** `default/web` unless told otherwise. */
  readonly metadata?: MetaOptions;
  /** `ballast.dev/proxy` unless told otherwise; null for a Service without a class. */
  readonly loadBalancerClass?: string | null;
  readonly spec?: Service['spec'];
  readonly status?: Service['status'];
}

/** A Service of `type: LoadBalancer`, unless `spec.type` says otherwise, with the API server's defaults filled in. */
export function service(options: ServiceOptions = {}): Service {
  const { loadBalancerClass = 'ballast.dev/proxy' } = options;
  const type = options.spec?.type ?? 'LoadBalancer';
  const balanced = {
    allocateLoadBalancerNodePorts: true,
    ...(loadBalancerClass === null ? {} : { loadBalancerClass }),
  };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta({ namespace: 'default', ...options.metadata }, 'service', 'web'),
    spec: {
      type,
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10'],
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [servicePort()],
      selector: { app: 'web' },
      sessionAffinity: 'None',
      ...(type === 'LoadBalancer' || type === 'NodePort' ? { externalTrafficPolicy: 'Cluster' } : {}),
      ...(type === 'LoadBalancer' ? balanced : {}),
      ...options.spec,
    },
    status: { loadBalancer: {}, ...options.status },
  };
}

export interface NodeOptions {
  readonly metadata?: MetaOptions;
  /** InternalIPs; `10.0.0.1` unless told otherwise. */
  readonly addresses?: readonly string[];
  readonly taints?: NonNullable<Node['spec']>['taints'];
  readonly providerId?: string;
  /** The Ready condition; true unless told otherwise. */
  readonly ready?: boolean;
}

/** A Ready Node with a hostname and an InternalIP. */
export function node(options: NodeOptions = {}): Node {
  const metadata = meta(options.metadata ?? {}, 'node', 'node-1');
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { ...metadata, labels: { 'kubernetes.io/hostname': metadata.name, ...metadata.labels } },
    spec: {
      ...(options.providerId === undefined ? {} : { providerID: options.providerId }),
      ...(options.taints === undefined ? {} : { taints: options.taints }),
    },
    status: {
      addresses: [
        { type: 'Hostname', address: metadata.name },
        ...(options.addresses ?? ['10.0.0.1']).map((address) => ({ type: 'InternalIP', address })),
      ],
      conditions: [{ type: 'Ready', status: options.ready === false ? 'False' : 'True' }],
    },
  };
}

export interface EndpointOptions {
  readonly address?: string;
  readonly nodeName?: string;
  /** True unless told otherwise, as in Kubernetes where an absent condition counts as true. */
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
}

export interface EndpointSliceOptions {
  readonly metadata?: MetaOptions;
  /** Name of the Service whose slice it is; `web` unless told otherwise. */
  readonly service?: string;
  readonly family?: IpFamily;
  readonly endpoints?: readonly EndpointOptions[];
  readonly ports?: EndpointSlice['ports'];
}

/** A slice as the EndpointSlice controller writes it: labelled with its Service, one ready endpoint on `node-1`. */
export function endpointSlice(options: EndpointSliceOptions = {}): EndpointSlice {
  const owner = options.service ?? 'web';
  const metadata = meta({ namespace: 'default', ...options.metadata }, 'slice', `${owner}-1`);
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      ...metadata,
      labels: {
        'kubernetes.io/service-name': owner,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        ...metadata.labels,
      },
    },
    addressType: options.family ?? 'IPv4',
    endpoints: (options.endpoints ?? [{}]).map(
      ({ address = '10.244.1.10', nodeName = 'node-1', ready = true, serving = ready, terminating = false }) => ({
        addresses: [address],
        nodeName,
        conditions: { ready, serving, terminating },
      }),
    ),
    ports: options.ports ?? [{ port: 8080, protocol: 'TCP' }],
  };
}

/** A target `node-1` at 10.0.0.1 unless told otherwise. */
export function nodeTarget(options: Partial<NodeTarget> = {}): NodeTarget {
  return { name: 'node-1', addresses: { IPv4: '10.0.0.1' }, providerId: undefined, zone: undefined, ...options };
}

/** Nodes in the order of their names; the version follows from the contents. */
export function nodeSet(nodes: readonly NodeTarget[] = [nodeTarget()]): NodeSet {
  const sorted = nodes.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { version: JSON.stringify(sorted), nodes: sorted };
}

/** `count` dual-stack nodes: `node-1` at 10.0.0.1 and fd00:10::1, and so on. */
export function manyNodes(count: number): NodeSet {
  return nodeSet(
    Array.from({ length: count }, (_, index) => {
      const number = index + 1;
      return nodeTarget({
        name: `node-${number}`,
        addresses: { IPv4: `10.0.${number >> 8}.${number & 255}`, IPv6: `fd00:10::${number.toString(16)}` },
      });
    }),
  );
}

/** `count` nodes that are this machine: 127.1.0.1, 127.1.0.2 and so on; the first one has `::1` too. */
export function loopbackNodes(count: number): NodeSet {
  return nodeSet(
    Array.from({ length: count }, (_, index) => {
      const number = index + 1;
      const IPv4 = `127.1.${number >> 8}.${number & 255}`;
      return nodeTarget({ name: `node-${number}`, addresses: number === 1 ? { IPv4, IPv6: '::1' } : { IPv4 } });
    }),
  );
}

/** A listener 80/TCP of the member with the UID `uid-web`, on NodePort 30080 unless told otherwise. */
export function listener(options: Partial<Listener> = {}): Listener {
  const port = options.port ?? 80;
  return {
    port,
    protocol: 'TCP',
    member: 'uid-web',
    name: '',
    nodePort: 30_000 + (port % 2_768),
    ...options,
  };
}

export interface MemberOptions extends Partial<Omit<Member, 'ref' | 'listeners'>> {
  readonly namespace?: string;
  readonly name?: string;
  /** `uid-<name>` unless told otherwise. */
  readonly uid?: string;
  /** One listener 80/TCP unless told otherwise; their `member` is filled in. */
  readonly listeners?: readonly Partial<Listener>[];
}

/** The member `default/web`: IPv4, `Cluster` policy, no affinity, everyone may connect. */
export function member(options: MemberOptions = {}): Member {
  const { namespace = 'default', name = 'web', uid = `uid-${name}`, listeners = [{}], ...rest } = options;
  return {
    ref: { namespace, name, uid },
    listeners: listeners.map((each) => listener({ ...each, member: uid })),
    families: [{ family: 'IPv4', required: true }],
    trafficPolicy: 'Cluster',
    healthCheckNodePort: undefined,
    endpointNodes: undefined,
    affinitySeconds: undefined,
    sourceRanges: [],
    settings: {},
    ...rest,
  };
}

/** The id of a Service's own load balancer; `default/web` unless told otherwise. */
export function serviceId(name = 'web', namespace = 'default'): LoadBalancerId {
  return { kind: 'service', namespace, name };
}

/** The id of a group's load balancer; `default/shared` unless told otherwise. */
export function groupId(name = 'shared', namespace = 'default'): LoadBalancerId {
  return { kind: 'group', namespace, name };
}

/** A load balancer of one member unless told otherwise, named after its first member, with three nodes. */
export function desiredLoadBalancer(options: Partial<DesiredLoadBalancer> = {}): DesiredLoadBalancer {
  const members = options.members ?? [member()];
  const [first] = members;
  return {
    id: serviceId(first?.ref.name, first?.ref.namespace),
    members,
    requestedAddresses: [],
    publishedAddresses: [],
    nodes: manyNodes(3),
    ...options,
  };
}

/** Freezes a value and everything in it, so that a write to it throws. Maps and sets are left as they are. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
