import type { ClusterAccess } from './access.ts';
import type { Availability } from './availability.ts';
import type { KubeMetrics } from './metrics.ts';
import { pathOf, type Resource } from './resources.ts';
import { Transport, type ApiRequest } from './transport.ts';
import { parseWatchEvents, type WatchEvent } from './watchevents.ts';
import type { KubeObject, ObjectMeta } from './wire.ts';

export interface KubeClientOptions {
  readonly access: ClusterAccess;
  readonly metrics: KubeMetrics;
  /** Shared by all clients of a process. */
  readonly availability?: Pick<Availability, 'answered' | 'failed'>;
  /** Our version, for the User-Agent. */
  readonly version: string;
  /** For a whole request and its answer, unless the call says otherwise. Default: 30 s. */
  readonly requestTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
  readonly connections?: number;
}

/** What every call takes. */
export interface CallOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

/** One object of a resource; cluster-scoped ones have no namespace. */
export interface ObjectName {
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface ListOptions extends CallOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Objects per page. */
  readonly limit?: number | undefined;
  /** The token of the page before. */
  readonly continue?: string | undefined;
}

export interface ObjectList<T extends KubeObject> {
  /** Absent in the answer of some servers when nothing is there. */
  readonly items?: readonly T[] | null;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
}

export interface PatchOptions extends CallOptions {
  readonly subresource?: 'status' | undefined;
}

export interface DeleteOptions extends CallOptions {
  /** Only this object, not one of the same name that was made after it. */
  readonly uid?: string;
}

export interface WatchOptions {
  readonly signal: AbortSignal;
  readonly resourceVersion: string;
  /** After how long the API server ends the watch. */
  readonly timeoutSeconds: number;
  /** How long the stream may be silent before it counts as broken. */
  readonly inactivityMs: number;
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

/** An object to create: the server fills in the rest of its metadata. */
export type Draft<T extends KubeObject> = Omit<T, 'metadata'> & { readonly metadata: Partial<ObjectMeta> };

/**
 * The API server, as JSON in both directions, over connections of its own (leader election has its own client, so
 * that no pile of other requests delays a renewal). All methods throw as `Transport` says; none retries.
 */
export class KubeClient {
  readonly #transport: Transport;
  readonly #timeoutMs: number;

  constructor(options: KubeClientOptions) {
    this.#transport = new Transport(options);
    this.#timeoutMs = options.requestTimeoutMs ?? 30_000;
  }

  get<T extends KubeObject>(resource: Resource<T>, object: ObjectName, options: CallOptions): Promise<T> {
    return this.request({ method: 'GET', path: pathOf(resource, object) }, options);
  }

  /** One page; the items may lack `apiVersion` and `kind`. */
  list<T extends KubeObject>(resource: Resource<T>, options: ListOptions): Promise<ObjectList<T>> {
    const { namespace, labelSelector, fieldSelector, limit } = options;
    const query = { labelSelector, fieldSelector, limit, continue: options.continue };
    return this.request({ method: 'GET', path: pathOf(resource, { namespace }), query }, options);
  }

  create<T extends KubeObject>(resource: Resource<T>, object: Draft<T>, options: CallOptions): Promise<T> {
    const path = pathOf(resource, { namespace: object.metadata.namespace });
    return this.request({ method: 'POST', path, body: object }, options);
  }

  /** Replaces the whole object; its resource version must be the current one. */
  update<T extends KubeObject>(resource: Resource<T>, object: T, options: CallOptions): Promise<T> {
    const { namespace, name } = object.metadata;
    return this.request({ method: 'PUT', path: pathOf(resource, { namespace, name }), body: object }, options);
  }

  /** A JSON merge patch (RFC 7386): objects are merged, lists replaced, `null` removes. */
  patch<T extends KubeObject>(
    resource: Resource<T>,
    object: ObjectName,
    patch: object,
    options: PatchOptions,
  ): Promise<T> {
    const path = pathOf(resource, { ...object, subresource: options.subresource });
    const contentType = 'application/merge-patch+json';
    return this.request({ method: 'PATCH', path, body: patch, contentType }, options);
  }

  async delete(resource: Resource<KubeObject>, object: ObjectName, options: DeleteOptions): Promise<void> {
    const body = options.uid === undefined ? undefined : { preconditions: { uid: options.uid } };
    await this.request({ method: 'DELETE', path: pathOf(resource, object), ...(body && { body }) }, options);
  }

  /**
   * The changes of a resource since a resource version, with bookmarks. Ends when the server ends the watch.
   * @throws ApiError also for the watch's ERROR event; `isExpired` tells when only a new list helps.
   */
  watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>, void> {
    const { namespace, labelSelector, fieldSelector, resourceVersion, timeoutSeconds, signal, inactivityMs } = options;
    const path = pathOf(resource, { namespace });
    const query = {
      watch: true,
      allowWatchBookmarks: true,
      labelSelector,
      fieldSelector,
      resourceVersion,
      timeoutSeconds,
    };
    const stream = { signal, inactivityMs, openTimeoutMs: this.#timeoutMs };
    return parseWatchEvents<T>(this.#transport.stream({ method: 'GET', path, query }, stream), `WATCH ${path}`);
  }

  /** Any request, for what the methods above do not cover (`POST …/token`); gives the parsed answer. */
  request<Result>(request: ApiRequest, { signal, timeoutMs = this.#timeoutMs }: CallOptions): Promise<Result> {
    return this.#transport.call(request, { signal, timeoutMs });
  }

  /** Breaks all connections; requests under way fail. */
  close(): Promise<void> {
    return this.#transport.close();
  }
}
