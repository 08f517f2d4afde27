import pRetry from 'p-retry';
import { isConflict, isNotFound } from './apierror.ts';
import type { CallOptions, ObjectName, PatchOptions } from './client.ts';
import type { Resource } from './resources.ts';
import type { KubeObject } from './wire.ts';

/** A JSON merge patch (RFC 7386): objects are merged, lists replaced whole, `null` removes. */
export type MergePatch = Readonly<Record<string, unknown>>;

/** What came of the attempt to change an object. */
export type PatchOutcome<T> =
  | { readonly kind: 'patched'; readonly object: T }
  /** Nothing was to be changed, and nothing was sent. */
  | { readonly kind: 'unchanged'; readonly object: T }
  /** The object was deleted; one of the same name may have been made since, and is not touched. */
  | { readonly kind: 'gone' };

/** What patching one resource needs of a client; `KubeClient` has it for every resource. */
export interface Patcher<T extends KubeObject> {
  get(resource: Resource<T>, object: ObjectName, options: CallOptions): Promise<T>;
  patch(resource: Resource<T>, object: ObjectName, patch: MergePatch, options: PatchOptions): Promise<T>;
}

export interface PatchRequest<T extends KubeObject> extends CallOptions {
  readonly client: Patcher<T>;
  readonly resource: Resource<T>;
  /** The state that the caller knows, as a rule from the store; its UID says which object is meant. */
  readonly known: T;
  /**
   * The patch from a state, or undefined when that state needs none. Called again with the newest state after a
   * conflict, so it must decide from its argument alone.
   */
  readonly compute: (object: T) => MergePatch | undefined;
  /** `status`: goes to the status subresource, which also takes finalizers, labels and annotations, but no spec. */
  readonly subresource?: 'status';
}

/** As often as client-go's `retry.DefaultRetry`; who loses so many races comes back through the work queue. */
const RETRIES = 4;

/**
 * Changes an object by a merge patch that holds for exactly the state it was computed from: the patch carries the
 * resource version, so that a list in it (finalizers, conditions, ingress) never undoes what somebody else wrote
 * meanwhile. After a conflict the object is read and the patch computed again, a few times.
 * @throws ApiError `ApiConflict` when every try met another writer; other failures at once.
 */
export async function patchWithRetry<T extends KubeObject>(request: PatchRequest<T>): Promise<PatchOutcome<T>> {
  const { client, resource, known, compute, subresource, signal, timeoutMs } = request;
  const { namespace, name, uid } = known.metadata;
  const object: ObjectName = { namespace, name };
  const options: CallOptions = { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) };

  const attempt = async (attemptNumber: number): Promise<PatchOutcome<T>> => {
    const state = attemptNumber === 1 ? known : await client.get(resource, object, options);
    if (state.metadata.uid !== uid) return { kind: 'gone' };
    const patch = compute(state);
    if (patch === undefined) return { kind: 'unchanged', object: state };
    const guarded = withPreconditions(patch, state);
    return { kind: 'patched', object: await client.patch(resource, object, guarded, { ...options, subresource }) };
  };

  try {
    return await pRetry(attempt, {
      retries: RETRIES,
      minTimeout: 10,
      maxTimeout: 200,
      randomize: true,
      signal,
      shouldRetry: ({ error }) => isConflict(error),
    });
  } catch (error) {
    if (isNotFound(error)) return { kind: 'gone' };
    throw error;
  }
}

/** The patch with the resource version and UID of the state it is for; the server refuses it for any other. */
function withPreconditions(patch: MergePatch, { metadata: { uid, resourceVersion } }: KubeObject): MergePatch {
  const metadata = patch['metadata'];
  return { ...patch, metadata: { ...(typeof metadata === 'object' ? metadata : {}), uid, resourceVersion } };
}
