import { isNotFound } from './apierror.ts';
import type { KubeClient } from './client.ts';
import { apiVersionOf, LEASES } from './resources.ts';
import type { Lease } from './wire.ts';

export type LeaseSpec = NonNullable<Lease['spec']>;

/** The one Lease that an elector fights for. Every method throws what the client throws. */
export interface LeaseApi {
  /** `namespace/name`, for logs and messages. */
  readonly key: string;
  /** Undefined when there is none. */
  read(signal: AbortSignal): Promise<Lease | undefined>;
  /** Refused (409) when there is one by now. */
  create(spec: LeaseSpec, signal: AbortSignal): Promise<Lease>;
  /** Refused (409) when `lease` is not the newest state. */
  update(lease: Lease, spec: LeaseSpec, signal: AbortSignal): Promise<Lease>;
  /** An item for each change after `lease` was read, until the server or the signal ends it. */
  changes(lease: Lease, signal: AbortSignal): AsyncIterable<unknown>;
}

export interface LeaseName {
  readonly namespace: string;
  readonly name: string;
}

/** How long the server lets one watch of the Lease run, and how long it may be silent: bookmarks come every minute. */
const WATCH_SECONDS = 600;
const SILENT_MS = 90_000;

/** The Lease on a real API server; give it a client of its own, so that nothing else delays a renewal. */
export function leaseApi(client: KubeClient, { namespace, name }: LeaseName): LeaseApi {
  return {
    key: `${namespace}/${name}`,
    async read(signal) {
      try {
        return await client.get(LEASES, { namespace, name }, { signal });
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    create(spec, signal) {
      const kind = { apiVersion: apiVersionOf(LEASES), kind: LEASES.kind };
      return client.create(LEASES, { ...kind, metadata: { namespace, name }, spec }, { signal });
    },
    update: (lease, spec, signal) => client.update(LEASES, { ...lease, spec }, { signal }),
    changes: ({ metadata: { resourceVersion } }, signal) =>
      client.watch(LEASES, {
        namespace,
        // RBAC lets whoever may watch one name watch with this selector.
        fieldSelector: `metadata.name=${name}`,
        resourceVersion,
        timeoutSeconds: WATCH_SECONDS,
        inactivityMs: SILENT_MS,
        signal,
      }),
  };
}
