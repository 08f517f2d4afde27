/**
 * Kubernetes objects as they are on the wire: raw JSON, dates as strings, never changed in place. Types only; the
 * generated classes of the client library stay out, because they drop fields they do not know and turn dates into
 * `Date` objects on some paths and not on others.
 */
import type {
  EventsV1Event,
  V1EndpointSlice,
  V1Lease,
  V1Node,
  V1Service,
  V1SubjectAccessReview,
  V1TokenReview,
} from '@kubernetes/client-node';

/** `T` as JSON: dates are RFC 3339 strings, and everything is read-only, however deep. */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly Wire<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: Wire<T[Key]> }
      : T;

/** The part of `metadata` that every stored object has. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
}

/** Any object of the API server as our stores keep it. */
export interface KubeObject {
  readonly metadata: ObjectMeta;
}

type Stored<T> = Omit<Wire<T>, 'metadata'> & KubeObject;

export type Service = Stored<V1Service>;
export type ServicePort = NonNullable<NonNullable<Service['spec']>['ports']>[number];
export type Node = Stored<V1Node>;
export type EndpointSlice = Stored<V1EndpointSlice>;
export type Lease = Stored<V1Lease>;
export type Event = Stored<EventsV1Event>;
/** Never stored: creating one is asking. */
export type TokenReview = Stored<V1TokenReview>;
export type SubjectAccessReview = Stored<V1SubjectAccessReview>;
export type Condition = NonNullable<NonNullable<Service['status']>['conditions']>[number];
