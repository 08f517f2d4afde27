import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import type { Refusal } from '../loadbalancer/model.ts';
import type { Result } from '../runtime/outcome.ts';
import { mayPass } from './decide.ts';

/** What a reconcile that did not fail has done. */
export interface Done {
  readonly steps: number;
  readonly writes: number;
  /** When to look again, in milliseconds. */
  readonly pollAfterMs: number | undefined;
  readonly refusals: readonly Refusal[];
}

/** More than this of what is refused is no help in a log line. */
const LONGEST = 1_000;

/** Says what came of each reconcile. What is refused is told loudly once, not at every audit. */
export class ReconcileResults {
  /** What was refused last. */
  readonly #refused = new Map<LoadBalancerKey, string>();

  resultOf(key: LoadBalancerKey, { steps, writes, pollAfterMs, refusals }: Done): Result {
    const changed = steps + writes > 0;
    const refused = refusals.filter((refusal) => !mayPass(refusal));
    const [first] = refused;
    if (first) {
      const reason = [...new Set(refused.map(({ message }) => message))].join(' ').slice(0, LONGEST);
      const isNews = this.#refused.get(key) !== reason;
      this.#refused.set(key, reason);
      const again = pollAfterMs === undefined ? {} : { afterMs: pollAfterMs };
      return { kind: 'terminal', code: first.code, reason, changed: isNews, ...again };
    }
    this.#refused.delete(key);
    if (pollAfterMs !== undefined) {
      return { kind: 'requeue', afterMs: pollAfterMs, reason: 'the provider is still at work', changed };
    }
    return changed ? { kind: 'done', changed, detail: `${steps} steps, ${writes} writes` } : { kind: 'done' };
  }
}
