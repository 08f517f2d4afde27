import type {
  EndpointSlice,
  Event,
  KubeObject,
  Lease,
  Node,
  Service,
  SubjectAccessReview,
  TokenReview,
} from './wire.ts';

declare const objectType: unique symbol;

/** One kind of object of the API server and where it is served; `T` is what its objects look like. */
export interface Resource<T extends KubeObject> {
  /** API group; empty for the core one. */
  readonly group: string;
  readonly version: string;
  /** The name in URLs: `services`. */
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Only for the compiler: ties `T` to the value. */
  readonly [objectType]?: T;
}

export const SERVICES: Resource<Service> = {
  group: '',
  version: 'v1',
  plural: 'services',
  kind: 'Service',
  namespaced: true,
};

export const NODES: Resource<Node> = { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false };

export const ENDPOINT_SLICES: Resource<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
};

export const LEASES: Resource<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

export const EVENTS: Resource<Event> = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
};

export const TOKEN_REVIEWS: Resource<TokenReview> = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
  namespaced: false,
};

export const SUBJECT_ACCESS_REVIEWS: Resource<SubjectAccessReview> = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
  namespaced: false,
};

/** `v1`, `discovery.k8s.io/v1`. */
export function apiVersionOf({ group, version }: Resource<KubeObject>): string {
  return group === '' ? version : `${group}/${version}`;
}

export interface ObjectPath {
  /** Needed for one object of a namespaced resource; without it, a list goes over all namespaces. */
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  /** `status`, `token`, … */
  readonly subresource?: string | undefined;
}

/** The URL path of a collection, an object or a subresource. */
export function pathOf(resource: Resource<KubeObject>, { namespace, name, subresource }: ObjectPath = {}): string {
  if (resource.namespaced && name !== undefined && namespace === undefined) {
    throw new TypeError(`${resource.plural}/${name} needs a namespace`);
  }
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const parts = [
    ...(resource.namespaced && namespace !== undefined ? ['namespaces', namespace] : []),
    resource.plural,
    ...(name === undefined ? [] : [name]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  return `${root}/${parts.map(encodeURIComponent).join('/')}`;
}
