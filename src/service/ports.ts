/** What the Service controller needs from the outside; `src/kube` gives it, tests give their own. */
import type { PatchOutcome } from '../kube/patch.ts';
import type { Store } from '../kube/store.ts';
import type { EndpointSlice, Node, Service, ServicePort } from '../kube/wire.ts';
import { SERVICE_NAME_LABEL } from '../loadbalancer/endpoints.ts';
import type { StatusFields } from '../loadbalancer/status.ts';

/** The stores that all providers' controllers share. */
export interface Stores {
  readonly services: Store<Service>;
  readonly nodes: Store<Node>;
  readonly endpointSlices: Store<EndpointSlice, 'service'>;
}

/** The index that the store of EndpointSlices must have: by `namespace/name` of the Service. */
export function sliceOwners(slice: EndpointSlice): readonly string[] {
  const service = slice.metadata.labels?.[SERVICE_NAME_LABEL];
  return service === undefined ? [] : [`${slice.metadata.namespace}/${service}`];
}

/** A JSON merge patch (RFC 7386) of a Service: lists are whole, null removes. */
export type ServicePatch = {
  readonly metadata?: { readonly finalizers: readonly string[] | null };
  readonly spec?: { readonly ports: readonly ServicePort[] };
  readonly status?: StatusFields;
};

export interface PatchOptions {
  /** With it, `spec` is ignored by the API server; without it, `status` is. */
  readonly subresource?: 'status';
  readonly signal: AbortSignal;
}

export interface ServiceWriter {
  /**
   * Patches the Service that `known` is a state of. `compute` is asked for the patch, first with `known`, then after
   * every conflict with a fresh read; undefined means that nothing is to be written. The write holds only for the UID
   * and the resource version of the state that it was computed from.
   */
  patch(
    known: Service,
    compute: (current: Service) => ServicePatch | undefined,
    options: PatchOptions,
  ): Promise<PatchOutcome<Service>>;
}

export type EventType = 'Normal' | 'Warning';

export interface EventSink {
  /** Records an event about a Service; never throws, and never waits. */
  record(service: Service, type: EventType, reason: string, message: string): void;
  /** The same about the Node of this name. */
  recordNode(node: string, type: EventType, reason: string, message: string): void;
}

/** Throws `NotLeader` when this process may not write any more. */
export type Fence = () => void;

/** `namespace/name` of a Service, as in the stores and the EndpointSlices' index. */
export function keyName({ metadata: { namespace = '', name } }: Service): string {
  return `${namespace}/${name}`;
}
