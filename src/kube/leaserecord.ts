import type { LeaseSpec } from './leaseapi.ts';
import { microTime } from './microtime.ts';

/** What a Lease says while we hold it. Times are for people to read: nobody compares them with a clock. */
export interface HolderOptions {
  readonly identity: string;
  readonly leaseDurationMs: number;
  readonly now: Date;
}

/** The record with which we take the Lease from `previous`, or renew it when it is ours already. */
export function heldRecord(
  previous: LeaseSpec | undefined,
  { identity, leaseDurationMs, now }: HolderOptions,
): LeaseSpec {
  const isOurs = previous?.holderIdentity === identity;
  const acquireTime = isOurs ? previous.acquireTime : undefined;
  const transitions = previous?.leaseTransitions ?? 0;
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
    acquireTime: acquireTime ?? microTime(now),
    renewTime: microTime(now),
    leaseTransitions: previous === undefined || isOurs ? transitions : transitions + 1,
  };
}

/** The record that lets the next one in at once, as client-go's `ReleaseOnCancel` writes it. */
export function releasedRecord(previous: LeaseSpec, now: Date): LeaseSpec {
  return {
    holderIdentity: '',
    leaseDurationSeconds: 1,
    acquireTime: microTime(now),
    renewTime: microTime(now),
    leaseTransitions: previous.leaseTransitions ?? 0,
  };
}
