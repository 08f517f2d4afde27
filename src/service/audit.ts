import { createHash } from 'node:crypto';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import type { Clock } from '../runtime/clock.ts';

/** Into how many slices a period is cut: 10 minutes make one every 2.3 s. */
const SLICES = 256;

export interface AuditOptions {
  /** Every key is looked at once in this time, in milliseconds. */
  readonly periodMs: number;
  readonly clock: Clock;
  readonly keys: () => Iterable<LoadBalancerKey>;
  readonly enqueue: (key: LoadBalancerKey) => void;
}

/**
 * Adds every key once per period, so that drift is found without an event. A key's slice follows from its name:
 * nothing is remembered, and neither many keys nor a restart make a burst. The returned function ends it.
 */
export function startAudit({ periodMs, clock, keys, enqueue }: AuditOptions): () => void {
  let slice = 0;
  let cancel = (): void => {};
  const next = (): void => {
    cancel = clock.after(periodMs / SLICES, () => {
      for (const key of keys()) if (sliceOf(key) === slice) enqueue(key);
      slice = (slice + 1) % SLICES;
      next();
    });
  };
  next();
  return () => cancel();
}

function sliceOf(key: string): number {
  return createHash('sha256').update(key).digest()[0] ?? 0;
}
