/** Which nodes a Service's traffic may reach, by "Which node a connection goes to" in `docs/proxy.md`. */
import type { EndpointSlice, Node, Service } from '#src/kube/wire';

/** Name → address. */
export type EligibleNodes = ReadonlyMap<string, string>;

/** The nodes that take traffic from outside. Whether they are ready decides nothing. */
export function eligibleNodes(nodes: readonly Node[]): EligibleNodes {
  return new Map(
    nodes.flatMap(({ metadata, spec, status }) => {
      const isExcluded = metadata.labels?.['node.kubernetes.io/exclude-from-external-load-balancers'] === 'true';
      const isTainted = spec?.taints?.some(({ key }) => key === 'ToBeDeletedByClusterAutoscaler') ?? false;
      const address = status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
      const takes = !isExcluded && !isTainted && metadata.deletionTimestamp === undefined && address !== undefined;
      return takes ? [[metadata.name, address] as const] : [];
    }),
  );
}

/** Names of the nodes that a connection to the Service may come to. */
export function nodesFor(
  service: Service,
  eligible: EligibleNodes,
  slices: readonly EndpointSlice[],
): readonly string[] {
  if (service.spec?.externalTrafficPolicy !== 'Local') return [...eligible.keys()];
  const { namespace, name } = service.metadata;
  const endpoints = slices
    .filter(({ metadata }) => metadata.namespace === namespace)
    .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name)
    .flatMap((slice) => slice.endpoints ?? []);
  const ready = endpoints.filter(({ conditions }) => conditions?.ready ?? true);
  const serving = endpoints.filter(({ conditions }) => conditions?.serving ?? conditions?.ready ?? true);
  const names = new Set((ready.length > 0 ? ready : serving).map(({ nodeName }) => nodeName));
  return [...eligible.keys()].filter((node) => names.has(node));
}
