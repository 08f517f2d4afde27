import { BallastError, classify, type FailureKind } from '../errors.ts';

/** What a reconcile has to say when it did not fail. */
export type Result =
  /** Nothing more to do until something changes. */
  | {
      readonly kind: 'done';
      /** Whether anything was written or changed; decides how loudly it is logged. */
      readonly changed?: boolean;
      /** What was done, for the log. */
      readonly detail?: string;
    }
  /** Look again later, for something that no event announces. */
  | {
      readonly kind: 'requeue';
      /** Milliseconds, above 0. */
      readonly afterMs: number;
      /** What is waited for, for the log. */
      readonly reason: string;
      readonly changed?: boolean;
    }
  /** Done as far as the input allows: part of it is refused, and trying again changes nothing until the input does. */
  | {
      readonly kind: 'terminal';
      /** A code of the error table. */
      readonly code: string;
      /** What is refused, for the log. */
      readonly reason: string;
      /** Whether that is news. */
      readonly changed: boolean;
      /** When to look again all the same, in milliseconds. */
      readonly afterMs?: number;
    };

/** A reconcile that threw. */
export interface Failure {
  readonly kind: FailureKind;
  /** A code of the error table, or `ReconcileTimeout`. */
  readonly code: string;
  readonly error: Error;
  /** How long the other side asked us to wait. */
  readonly retryAfterMs?: number;
}

/** A reconcile that was cut short because the process ends. */
export interface Aborted {
  readonly kind: 'aborted';
  readonly error: unknown;
}

export type Outcome = Result | Failure | Aborted;

/** Every kind, for the metrics' label `outcome`. */
export const OUTCOMES: readonly Outcome['kind'][] = [
  'done',
  'requeue',
  'retryable',
  'throttled',
  'conflict',
  'terminal',
  'bug',
  'aborted',
];

/** The reason with which the signal of a reconcile aborts when its time is over. */
export class ReconcileTimeout extends Error {
  /** As the platform's own time-outs are called, so that `isAbort` knows it. */
  override readonly name = 'TimeoutError';
  readonly code = 'ReconcileTimeout';

  constructor(timeoutMs: number, cause?: unknown) {
    super(`the reconcile did not end within ${timeoutMs / 1000} s`, { cause });
  }
}

/**
 * What a throw means. Once the signal has aborted the reason counts, whatever the parts in between made of it: the end
 * of the process is no failure, and the end of the time is worth another try. An error with a code of its own stays.
 */
export function outcomeOfThrow(error: unknown, signal: AbortSignal): Failure | Aborted {
  if (signal.aborted) {
    const reason: unknown = signal.reason;
    if (!(reason instanceof ReconcileTimeout)) return { kind: 'aborted', error };
    if (!(error instanceof BallastError)) return { kind: 'retryable', code: reason.code, error: reason };
  }
  const classified = classify(error);
  const { kind, code, retryAfterMs } = classified;
  return { kind, code, error: classified, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}
