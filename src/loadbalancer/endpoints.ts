import type { EndpointSlice, Service } from '../kube/wire.ts';

/** The label by which an EndpointSlice names its Service. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/**
 * The nodes that hold a ready endpoint of the Service; where there is none at all, those with one that still serves
 * while it terminates (KEP-1669). A node that has nothing but terminating endpoints gets no new connections before the
 * last of them is gone, as its healthCheckNodePort asks too, only sooner. Absent conditions count as true
 * (`discovery/v1`). Endpoints without a node belong to none.
 */
export function endpointNodesOf(service: Service, slices: Iterable<EndpointSlice>): readonly string[] {
  const everyone = service.spec?.publishNotReadyAddresses === true;
  const withReady = new Set<string>();
  const withServing = new Set<string>();
  for (const slice of slices) {
    for (const { nodeName, conditions } of slice.endpoints ?? []) {
      if (!nodeName) continue;
      const ready = everyone || (conditions?.ready ?? true);
      if (ready) withReady.add(nodeName);
      if (conditions?.serving ?? ready) withServing.add(nodeName);
    }
  }
  return [...(withReady.size > 0 ? withReady : withServing)].sort();
}

/** What traffic to a Service can reach, whichever node it comes to. */
export interface UsableEndpoints {
  /** Endpoints of whatever state; of the family that has most, since a pod may have an address of each. */
  readonly total: number;
  /** Those that get new connections: the ready ones or, where there is none, those that still serve while they end. */
  readonly count: number;
  /** Whether they are such that end. */
  readonly terminating: boolean;
  /** Where they are, in order. */
  readonly nodes: readonly string[];
  /** What they listen on, under the names of the Service's ports. */
  readonly ports: readonly EndpointPort[];
}

export interface EndpointPort {
  /** Of the port of the Service that leads here; empty when it has none. */
  readonly name: string;
  readonly protocol: string;
  readonly number: number;
}

type Endpoint = NonNullable<EndpointSlice['endpoints']>[number];

/** As kube-proxy sees them (KEP-1669). Absent conditions count as true (`discovery/v1`). */
export function usableEndpoints(service: Service, slices: readonly EndpointSlice[]): UsableEndpoints {
  const everyone = service.spec?.publishNotReadyAddresses === true;
  const isReady = ({ conditions }: Endpoint): boolean => everyone || (conditions?.ready ?? true);
  const isServing = (endpoint: Endpoint): boolean => endpoint.conditions?.serving ?? isReady(endpoint);
  const ready = chosen(slices, isReady);
  const usable = ready.length > 0 ? ready : chosen(slices, isServing);
  const nodes = usable.flatMap(({ endpoints }) => endpoints.flatMap(({ nodeName }) => nodeName ?? []));
  return {
    total: countOf(chosen(slices, () => true)),
    count: countOf(usable),
    terminating: ready.length === 0 && usable.length > 0,
    nodes: [...new Set(nodes)].sort(),
    ports: usable.flatMap(({ ports }) =>
      ports.flatMap((port) =>
        port.port ? { name: port.name ?? '', protocol: port.protocol ?? 'TCP', number: port.port } : [],
      ),
    ),
  };
}

interface Chosen {
  readonly family: string;
  readonly endpoints: readonly Endpoint[];
  readonly ports: NonNullable<EndpointSlice['ports']>;
}

/** The slices with an endpoint that passes, and nothing but such endpoints in them. */
function chosen(slices: readonly EndpointSlice[], passes: (endpoint: Endpoint) => boolean): readonly Chosen[] {
  return slices
    .map(({ addressType, endpoints, ports }) => ({
      family: addressType,
      endpoints: (endpoints ?? []).filter(passes),
      ports: ports ?? [],
    }))
    .filter(({ endpoints }) => endpoints.length > 0);
}

/** While endpoints move from slice to slice they are in both, so it is addresses that count. */
function countOf(slices: readonly Chosen[]): number {
  const families = Map.groupBy(slices, ({ family }) => family);
  const counts = [...families.values()].map(
    (own) => new Set(own.flatMap(({ endpoints }) => endpoints.flatMap(({ addresses }) => addresses[0] ?? []))).size,
  );
  return Math.max(0, ...counts);
}
