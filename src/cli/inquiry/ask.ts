import type { z } from 'zod';
import type { BindAddress } from '../../config/values.ts';
import { BallastError, ERRORS, type ErrorCode } from '../../errors.ts';
import { get, type HttpAnswer, type Way } from './request.ts';
import { ERROR_ANSWER } from './wire.ts';

/** What came of asking the controller. */
export type Asked<T> =
  | { readonly kind: 'answer'; readonly answer: T }
  /** Why it could not answer, to complete "Asked …, but". */
  | { readonly kind: 'none'; readonly why: string };

/** For whoever got no answer; completes a sentence. */
export const HOW_TO_ASK =
  'ask it in its pod or on its machine, or through kubectl port-forward with --controller (docs/deploy.md, “Asking it”)';

/** As long as the server itself gives an answer, and a little for the way. */
const TIMEOUT_MS = 35_000;

export interface AskOptions extends Way {
  readonly signal?: AbortSignal;
}

/**
 * Asks the controller at a URL.
 * @throws BallastError what the controller itself answered, when it is about the question: `ApiNotFound`, for example;
 * `InvalidConfig` when it cannot be asked that way.
 */
export async function askController<T>(
  url: string,
  schema: z.ZodType<T>,
  { signal, ...way }: AskOptions = {},
): Promise<Asked<T>> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response: HttpAnswer;
  let body: unknown;
  try {
    response = await get(url, way, signal ? AbortSignal.any([limit, signal]) : limit);
  } catch (error) {
    if (error instanceof BallastError) throw error;
    signal?.throwIfAborted();
    return { kind: 'none', why: `it does not answer: ${reasonOf(error)}` };
  }
  try {
    body = JSON.parse(response.text);
  } catch {
    return { kind: 'none', why: withoutJson(response) };
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

/** The server refuses in plain text; anything else that is no JSON comes from somebody else. */
function withoutJson({ status, text }: HttpAnswer): string {
  const refuses = [401, 403, 429, 503].includes(status);
  const said = JSON.stringify(text.trim().slice(0, 200));
  if (!refuses) return `what answers there is no controller: it says ${status} ${said}`;
  const hint = status === 401 ? '; give one with --controller-token-file' : '';
  return `it says ${status} ${said}${hint}`;
}

/** Where the controller serves by its configuration, for a process beside it; undefined when it serves nothing. */
export function controllerUrl(address: BindAddress | undefined, tls = false): string | undefined {
  if (address === undefined) return undefined;
  const { host = '127.0.0.1', port } = address;
  return `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function codeOf(code: string): ErrorCode {
  return Object.keys(ERRORS).find((known): known is ErrorCode => known === code) ?? 'Bug';
}

/** Undici hides what happened in the cause. */
function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}
