import { classify } from '../../errors.ts';
import type { KubeClient } from '../../kube/client.ts';
import { LEASES } from '../../kube/resources.ts';
import type { Lease } from '../../kube/wire.ts';
import type { Holder, Leadership } from '../../service/leadership.ts';

/** Clocks of two machines may differ; a Lease counts as held until it is this much overdue. */
const CLOCK_SKEW_MS = 60_000;

export interface LeaseName {
  readonly namespace: string;
  readonly name: string;
}

/** The Leases that tell who leads; both throw what the client throws. */
export interface Leases {
  /** Those of the name, of all namespaces: it is all that controllers of different installations have in common. */
  all(): Promise<readonly Lease[]>;
  /** The one of the configured namespace. */
  own(): Promise<Lease>;
}

export function leasesOf(client: KubeClient, lease: LeaseName, signal: AbortSignal): Leases {
  return {
    async all() {
      const { items } = await client.list(LEASES, { fieldSelector: `metadata.name=${lease.name}`, signal });
      return items ?? [];
    },
    own: () => client.get(LEASES, lease, { signal }),
  };
}

/**
 * Which controllers hold a Lease. Where not all may be listed, as the controller's ServiceAccount may not, it is about
 * the configured one; undefined when that may not be read either.
 */
export async function readLeadership(leases: Leases): Promise<Leadership | undefined> {
  const read = await readable(leases);
  const now = Date.now();
  return read && { kind: 'others', holders: read.filter((each) => isHeld(each, now)).map(holderOf) };
}

async function readable(leases: Leases): Promise<readonly Lease[] | undefined> {
  try {
    return await leases.all();
  } catch (error) {
    if (classify(error).code !== 'ApiForbidden') throw error;
  }
  try {
    return [await leases.own()];
  } catch (error) {
    const { code } = classify(error);
    if (code === 'ApiNotFound') return [];
    if (code === 'ApiForbidden') return undefined;
    throw error;
  }
}

function holderOf({ metadata: { namespace = '', name }, spec }: Lease): Holder {
  return { identity: spec?.holderIdentity ?? '', lease: `${namespace}/${name}` };
}

/** `now` in milliseconds since 1970. */
export function isHeld({ spec }: Lease, now: number): boolean {
  if (!spec?.holderIdentity || spec.renewTime === undefined) return false;
  const validUntil = Date.parse(spec.renewTime) + (spec.leaseDurationSeconds ?? 0) * 1_000;
  return now <= validUntil + CLOCK_SKEW_MS;
}
