/** What a node's health checks add up to. Pure. */

export type Health = 'unchecked' | 'healthy' | 'unhealthy';

/**
 * One health check: the node said yes; it said no, which is an answer and counts at once (kube-proxy says 503 when its
 * node is about to go, or has no endpoint); it did not answer, which may have been an accident; or this machine could
 * not ask, which says nothing.
 */
export type ProbeResult = 'yes' | 'no' | 'silent' | 'unknown';

export interface ProbeState {
  readonly health: Health;
  /** Yeses in a row. */
  readonly passes: number;
  /** Silences in a row. */
  readonly failures: number;
}

/** How many in a row it takes to be healthy or unhealthy; the very first yes is enough. */
export interface Thresholds {
  readonly healthy: number;
  readonly unhealthy: number;
}

export const UNCHECKED: ProbeState = { health: 'unchecked', passes: 0, failures: 0 };

export function afterProbe(state: ProbeState, result: ProbeResult, thresholds: Thresholds): ProbeState {
  switch (result) {
    case 'yes': {
      const passes = state.passes + 1;
      const enough = state.health === 'unchecked' || passes >= thresholds.healthy;
      return { health: enough ? 'healthy' : state.health, passes, failures: 0 };
    }
    case 'no':
      return { health: 'unhealthy', passes: 0, failures: 0 };
    case 'unknown':
      return state;
    default: {
      const failures = state.failures + 1;
      return { health: failures >= thresholds.unhealthy ? 'unhealthy' : state.health, passes: 0, failures };
    }
  }
}

/** Whether the answer is not clear yet, so that the next check should come soon. */
export function isUndecided(state: ProbeState): boolean {
  return state.health === 'unchecked' || (state.health === 'healthy' && state.failures > 0);
}
