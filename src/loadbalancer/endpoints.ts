import type { EndpointSlice, Service } from '../kube/wire.ts';

/** The label by which an EndpointSlice names its Service. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/**
 * The nodes that hold an endpoint of the Service which can take traffic: ready, or still serving while it terminates
 * (KEP-1669). Absent conditions count as true (`discovery/v1`). Endpoints without a node belong to none.
 */
export function endpointNodesOf(service: Service, slices: Iterable<EndpointSlice>): readonly string[] {
  const everyone = service.spec?.publishNotReadyAddresses === true;
  const nodes = new Set<string>();
  for (const slice of slices) {
    for (const { nodeName, conditions } of slice.endpoints ?? []) {
      const ready = conditions?.ready ?? true;
      const serving = conditions?.serving ?? ready;
      if (nodeName && (everyone || ready || serving)) nodes.add(nodeName);
    }
  }
  return [...nodes].sort();
}
