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
