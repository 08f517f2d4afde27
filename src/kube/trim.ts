import type { EndpointSlice, KubeObject, Node, ObjectMeta, Service } from './wire.ts';

/**
 * What we keep of each object: the fields that something reads, and nothing that changes by itself. Trimming happens
 * before storing, so a cluster of 5,000 nodes costs megabytes instead of hundreds, and a node's heartbeat leaves an
 * object that equals the one we have. `apiVersion` and `kind` go too: lists leave them out and watches do not.
 */
export type Trim<T extends KubeObject> = (object: T) => T;

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const SERVICE_NAME = 'kubernetes.io/service-name';

/** Metadata, `spec` and `status` of a Service, without what only `kubectl apply` and the API server need. */
export function trimService(service: Service): Service {
  const { metadata, spec, status } = service;
  const { annotations } = metadata;
  const kept = annotations && Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== LAST_APPLIED));
  return present({
    metadata: present({ ...commonMeta(metadata), labels: metadata.labels, annotations: kept }),
    spec,
    status,
  });
}

/** What decides whether and where a node gets traffic; no images, no capacity, no heartbeat times. */
export function trimNode(node: Node): Node {
  const { metadata, spec, status } = node;
  const ready = status?.conditions?.find((condition) => condition.type === 'Ready');
  return {
    metadata: present({ ...commonMeta(metadata), labels: metadata.labels }),
    spec: present({
      taints: spec?.taints?.map(({ key, value, effect }) => present({ key, value, effect })),
      providerID: spec?.providerID,
      unschedulable: spec?.unschedulable,
    }),
    status: present({
      addresses: status?.addresses,
      conditions: ready && [{ type: ready.type, status: ready.status }],
    }),
  };
}

/** Where the pods of a Service are, on which ports, and whether they can take traffic. */
export function trimEndpointSlice(slice: EndpointSlice): EndpointSlice {
  const { metadata, addressType, ports, endpoints } = slice;
  const service = metadata.labels?.[SERVICE_NAME];
  return present({
    metadata: present({
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      labels: service === undefined ? undefined : { [SERVICE_NAME]: service },
    }),
    addressType,
    // The API server writes null for no ports and for no endpoints.
    ports: ports ?? undefined,
    endpoints: (endpoints ?? []).map(({ addresses, conditions, nodeName, zone }) =>
      present({ addresses, conditions, nodeName, zone }),
    ),
  });
}

function commonMeta(metadata: ObjectMeta): Partial<ObjectMeta> & Pick<ObjectMeta, 'name' | 'uid' | 'resourceVersion'> {
  const { name, namespace, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp, finalizers } =
    metadata;
  return present({
    name,
    namespace,
    uid,
    resourceVersion,
    generation,
    creationTimestamp,
    deletionTimestamp,
    finalizers,
  });
}

type Present<T> = { [Key in keyof T as undefined extends T[Key] ? never : Key]: T[Key] } & {
  [Key in keyof T as undefined extends T[Key] ? Key : never]?: Exclude<T[Key], undefined>;
};

/** The entries that have a value. */
function present<T extends object>(fields: T): Present<T>;
function present(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
