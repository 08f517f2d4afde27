import { classify, errorRow, isAbort, type BallastError, type FailureKind } from '../errors.ts';
import type { Log } from './log.ts';

/**
 * Answers a read-only request with a value for JSON. What it throws becomes a JSON error; the signal aborts when the
 * time for the answer is over or the server ends.
 */
export type JsonHandler = (query: URLSearchParams, signal: AbortSignal) => Promise<unknown>;

export interface JsonAnswer {
  readonly status: number;
  readonly body: string;
}

/** Runs the handler. Failures are `{"error": {code, message, field?, remedy}}`, without stack; bugs are logged. */
export async function answerJson(
  handler: JsonHandler,
  query: URLSearchParams,
  signal: AbortSignal,
  log: Log,
): Promise<JsonAnswer> {
  try {
    const value = await Promise.race([handler(query, signal), rejectOnAbort(signal)]);
    return { status: 200, body: toJson(value ?? null) };
  } catch (error) {
    if (isAbort(error)) {
      return { status: 503, body: toJson({ error: { code: 'Timeout', message: 'the answer was not ready in time' } }) };
    }
    const problem = classify(error);
    if (problem.kind === 'bug') log.error({ error: problem }, 'a request failed');
    return { status: statusOf(problem), body: toJson({ error: errorBody(problem) }) };
  }
}

function errorBody(problem: BallastError): object {
  const { code, message, field } = problem;
  return { code, message, field, remedy: errorRow(code).remedy };
}

/** What was asked for wrongly is 400, what may pass by itself is 503, what is our mistake is 500. */
const STATUS: Readonly<Record<FailureKind, number>> = {
  terminal: 400,
  retryable: 503,
  throttled: 503,
  conflict: 503,
  bug: 500,
};

function statusOf({ code, kind }: BallastError): number {
  return code === 'ApiNotFound' ? 404 : STATUS[kind];
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Does not wait for a handler that ignores its signal. */
function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
