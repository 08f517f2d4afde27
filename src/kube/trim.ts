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
  const { metadata, spec, status } = withoutNulls(service);
  const { annotations } = metadata;
  const kept = annotations && Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== LAST_APPLIED));
  return present({
    metadata: present({ ...commonMeta(metadata), labels: metadata.labels, annotations: kept }),
    spec,
    status: status && { ...status, ...answered(status) },
  });
}

/** Conditions that name a question and answer it; other fields of theirs have a meaning when they are absent, too. */
function answered({ conditions }: NonNullable<Service['status']>): Pick<NonNullable<Service['status']>, 'conditions'> {
  const texts = conditions?.filter(({ type, status }) => type && status);
  return texts ? { conditions: texts.map((each) => ({ ...each, message: each.message ?? '' })) } : {};
}

/** What decides whether and where a node gets traffic; no images, no capacity, no heartbeat times. */
export function trimNode(node: Node): Node {
  const { metadata, spec, status } = withoutNulls(node);
  const ready = status?.conditions?.find((condition) => condition.type === 'Ready');
  return {
    metadata: present({ ...commonMeta(metadata), labels: metadata.labels }),
    spec: present({
      taints: spec?.taints?.map(({ key, value, effect }) => present({ key, value, effect })),
      providerID: spec?.providerID,
      unschedulable: spec?.unschedulable,
    }),
    status: present({
      addresses: status?.addresses?.filter(({ address }) => typeof address === 'string'),
      conditions: ready && [{ type: ready.type, status: ready.status }],
    }),
  };
}

/** Where the pods of a Service are, on which ports, and whether they can take traffic. */
export function trimEndpointSlice(slice: EndpointSlice): EndpointSlice {
  const { metadata, addressType, ports, endpoints } = withoutNulls(slice);
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
    ports,
    endpoints: (endpoints ?? []).map(({ addresses, conditions, nodeName, zone }) =>
      present({ addresses: addresses ?? [], conditions, nodeName, zone }),
    ),
  });
}

/**
 * The same without fields that are null, which means absent (API conventions, "Optional vs. Required"): the API server
 * writes null for some empty lists, and other writers do for more. A copy only where there is such a field anywhere.
 */
function withoutNulls<T extends object>(value: T): T;
function withoutNulls(value: unknown): unknown {
  return hasNull(value) ? pruned(value) : value;
}

/** Every object of a watch is asked, and hardly any has one. */
function hasNull(value: unknown): boolean {
  return value === null || (typeof value === 'object' && Object.values(value).some(hasNull));
}

function pruned(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.filter((part) => part !== null).map(pruned);
  const fields = Object.entries(value).filter(([, part]) => part !== null);
  return Object.fromEntries(fields.map(([key, part]) => [key, pruned(part)]));
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
