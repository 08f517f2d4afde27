import { classify } from '../../errors.ts';
import type { KubeClient } from '../../kube/client.ts';
import { LEASES } from '../../kube/resources.ts';
import type { Lease } from '../../kube/wire.ts';
import type { Leadership } from '../../service/explain.ts';

/** Clocks of two machines may differ; a Lease counts as held until it is this much overdue. */
const CLOCK_SKEW_MS = 60_000;

/**
 * Which controller holds the Lease of this name, in whatever namespace it runs; undefined when that may not be read.
 * The name is all that controllers of different installations have in common.
 */
export async function readLeadership(
  client: Pick<KubeClient, 'list'>,
  name: string,
  signal: AbortSignal,
): Promise<Leadership | undefined> {
  try {
    const { items } = await client.list(LEASES, { fieldSelector: `metadata.name=${name}`, signal });
    const holder = (items ?? []).find((lease) => isHeld(lease, Date.now()))?.spec?.holderIdentity;
    return { leads: false, ...(holder && { holder }) };
  } catch (error) {
    if (classify(error).code === 'ApiForbidden') return undefined;
    throw error;
  }
}

/** `now` in milliseconds since 1970. */
export function isHeld({ spec }: Lease, now: number): boolean {
  if (!spec?.holderIdentity || spec.renewTime === undefined) return false;
  const validUntil = Date.parse(spec.renewTime) + (spec.leaseDurationSeconds ?? 0) * 1_000;
  return now <= validUntil + CLOCK_SKEW_MS;
}
