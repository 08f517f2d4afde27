import type { LeaseSpec } from './leaseapi.ts';

/** What a process knows of itself when it looks at the Lease. */
export interface Standing {
  readonly identity: string;
  /**
   * `candidate`: has never held it. `leader`: its last renewal still counts. `fenced`: it held the Lease, and has not
   * renewed it in time.
   */
  readonly role: 'candidate' | 'leader' | 'fenced';
  /** Whether another holder that is named in the Lease may still lead, as far as was observed. */
  readonly holderMayLive: boolean;
}

/** What follows from a look. */
export type Verdict =
  /** Take or renew the Lease, from exactly the state that was seen. */
  | { readonly kind: 'write' }
  | { readonly kind: 'wait' }
  /** Somebody else leads, or may have led meanwhile; `why` completes "the Lease … ". */
  | { readonly kind: 'lost'; readonly why: string };

/** Pure: what to do about a Lease in this state; `seen` is undefined when there is none. */
export function judgeLease(seen: LeaseSpec | undefined, { identity, role, holderMayLive }: Standing): Verdict {
  const holder = seen?.holderIdentity ?? '';
  const isOthers = holder !== '' && holder !== identity;
  if (role === 'candidate') return isOthers && holderMayLive ? { kind: 'wait' } : { kind: 'write' };
  if (isOthers) return { kind: 'lost', why: `is held by ${holder}` };
  // While our time lasts nobody else can have taken it: it was deleted or emptied by hand.
  if (role === 'leader' || holder === identity) return { kind: 'write' };
  return { kind: 'lost', why: 'was deleted or given back by somebody while this process could not renew it' };
}

/** What decides when to look at the Lease again. */
export interface Waiting {
  readonly retryPeriodMs: number;
  /** How much longer than the retry period a candidate may wait, as a share of it. */
  readonly jitter: number;
  /** From 0 to below 1. */
  readonly random: number;
  readonly isHeld: boolean;
  /** For how long the holder that was seen may still lead, by this process's clock; 0 or less when it may not. */
  readonly holderLivesMs: number;
}

/**
 * Pure: how many milliseconds until the next look. Leaders renew in step; candidates spread, so that they do not march
 * together, but none sleeps past the moment in which the Lease that it saw runs out.
 */
export function waitBeforeLook({ retryPeriodMs, jitter, random, isHeld, holderLivesMs }: Waiting): number {
  if (isHeld) return retryPeriodMs;
  const spread = retryPeriodMs * (1 + jitter * random);
  // Whole milliseconds: clocks do not tell what is less apart, and a wait of nothing would come again at once.
  return holderLivesMs > 0 ? Math.ceil(Math.min(spread, holderLivesMs)) : spread;
}
