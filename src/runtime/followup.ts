import type { Log } from '../telemetry/log.ts';
import type { Outcome } from './outcome.ts';
import type { WorkQueue } from './workqueue.ts';

/** How many conflicts in a row are answered with a new try at once; after that the key backs off. */
export const CONFLICTS_AT_ONCE = 3;

type Level = Exclude<keyof Log, 'child'>;

/**
 * The one place that says what follows from an outcome: what becomes of the key in the queue, and how loudly the
 * reconcile is logged (the returned level). `conflicts` counts the conflicts of the key in a row, this one included.
 */
export function followUp<Key extends string>(
  queue: WorkQueue<Key>,
  key: Key,
  outcome: Outcome,
  conflicts: number,
): Level {
  switch (outcome.kind) {
    case 'done':
      queue.forget(key);
      return outcome.changed ? 'info' : 'debug';
    case 'requeue':
      queue.forget(key);
      queue.addAfter(key, outcome.afterMs);
      return outcome.changed ? 'info' : 'debug';
    case 'retryable':
      queue.addRateLimited(key);
      return 'warn';
    case 'throttled':
      // "At once" would be a hot loop against somebody who asks for patience.
      if (outcome.retryAfterMs !== undefined && outcome.retryAfterMs > 0) queue.addAfter(key, outcome.retryAfterMs);
      else queue.addRateLimited(key);
      return 'info';
    case 'conflict':
      if (conflicts <= CONFLICTS_AT_ONCE) queue.add(key);
      else queue.addRateLimited(key);
      return 'info';
    case 'terminal':
      queue.forget(key);
      if ('error' in outcome) return 'warn';
      if (outcome.afterMs !== undefined) queue.addAfter(key, outcome.afterMs);
      return outcome.changed ? 'warn' : 'debug';
    case 'bug':
      queue.addRateLimited(key);
      return 'error';
    case 'aborted':
      return 'info';
    default: {
      const unknown: never = outcome;
      throw new TypeError(
        `a reconcile of ${key} ended with an outcome that does not exist: ${JSON.stringify(unknown)}`,
      );
    }
  }
}
