import type { z } from 'zod';
import type { BindAddress } from '../../config/values.ts';
import { BallastError, ERRORS, type ErrorCode } from '../../errors.ts';
import { ERROR_ANSWER } from './wire.ts';

/** What came of asking the controller. */
export type Asked<T> =
  | { readonly kind: 'answer'; readonly answer: T }
  /** Why it could not answer, to complete "Asked …, but". */
  | { readonly kind: 'none'; readonly why: string };

/** As long as the server itself gives an answer, and a little for the way. */
const TIMEOUT_MS = 35_000;

/**
 * Asks the controller at a base URL.
 * @throws BallastError what the controller itself answered, when it is about the question: `ApiNotFound`, for example.
 */
export async function askController<T>(url: string, schema: z.ZodType<T>, signal?: AbortSignal): Promise<Asked<T>> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(url, { signal: signal ? AbortSignal.any([limit, signal]) : limit });
    body = await response.json();
  } catch (error) {
    signal?.throwIfAborted();
    return { kind: 'none', why: `it does not answer: ${reasonOf(error)}` };
  }
  const failure = ERROR_ANSWER.safeParse(body);
  if (failure.success) {
    const { code, message } = failure.data.error;
    if (response.status === 400 || response.status === 404) throw new BallastError(codeOf(code), message);
    return { kind: 'none', why: `it says: ${message}` };
  }
  const answer = schema.safeParse(body);
  if (answer.success) return { kind: 'answer', answer: answer.data };
  return { kind: 'none', why: 'what answers there is no controller of this version' };
}

/** Where the controller serves by its configuration, for a process beside it; undefined when it serves nothing. */
export function controllerUrl(address: BindAddress | undefined): string | undefined {
  if (address === undefined) return undefined;
  const { host = '127.0.0.1', port } = address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function codeOf(code: string): ErrorCode {
  return Object.keys(ERRORS).find((known): known is ErrorCode => known === code) ?? 'Bug';
}

/** Undici hides what happened in the cause. */
function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}
