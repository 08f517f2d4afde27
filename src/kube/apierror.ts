import { BallastError, type ErrorCode } from '../errors.ts';
import { redactText } from '../telemetry/redact.ts';

/** Longest Retry-After that is believed: a wrong clock in an HTTP date must not silence us for days. */
const LONGEST_RETRY_AFTER_MS = 10 * 60_000;

/** The `Status` object of a failed request, as far as we read it (`meta/v1`). */
export interface Status {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly field?: string; readonly reason?: string; readonly message?: string }[];
  };
}

export interface ApiErrorOptions {
  readonly status: Status;
  readonly httpStatus: number;
  readonly retryAfterMs?: number | undefined;
}

/** A refusal of the API server, with what its `Status` says. Failures without an answer are a `BallastError` alone. */
export class ApiError extends BallastError {
  /** The HTTP status, or the `code` of a watch's ERROR event. */
  readonly httpStatus: number;
  /** `metav1.StatusReason`, such as `AlreadyExists`; empty when the answer had none. */
  readonly reason: string;
  readonly details: Status['details'];

  constructor(code: ErrorCode, message: string, { status, httpStatus, retryAfterMs }: ApiErrorOptions) {
    const field = status.details?.causes?.find((cause) => cause.field)?.field;
    super(code, message, {
      ...(field === undefined ? {} : { field }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
    this.httpStatus = httpStatus;
    this.reason = status.reason ?? '';
    this.details = status.details;
  }
}

export interface Answer {
  readonly httpStatus: number;
  readonly body: string;
  readonly retryAfter: string | undefined;
  /** What was asked, for the message: `PATCH /api/v1/…`. */
  readonly request: string;
}

/** Turns an answer with an error status into the error to throw; the body need not be a `Status`, or JSON. */
export function apiErrorOf({ httpStatus, body, retryAfter, request }: Answer): ApiError {
  const status = parseStatus(body);
  // What somebody between us and the API server says may hold what we sent.
  const said = redactText(status.message ?? (body.trim().slice(0, 200) || 'no further information'));
  return statusError(status, httpStatus, `${request}: ${httpStatus} ${said}`, parseRetryAfter(retryAfter));
}

/** The error of a watch's ERROR event, whose object is a `Status`. */
export function watchErrorOf(status: Status, request: string): ApiError {
  const code = status.code ?? 500;
  return statusError(
    status,
    code,
    `${request}: the watch ended with ${code} ${redactText(status.message ?? 'no message')}`,
  );
}

function statusError(status: Status, httpStatus: number, message: string, retryAfterMs?: number): ApiError {
  const seconds = status.details?.retryAfterSeconds;
  const fromDetails = seconds === undefined ? undefined : Math.min(seconds * 1000, LONGEST_RETRY_AFTER_MS);
  return new ApiError(codeOf(httpStatus), message, { status, httpStatus, retryAfterMs: retryAfterMs ?? fromDetails });
}

function codeOf(httpStatus: number): ErrorCode {
  switch (httpStatus) {
    case 401:
    case 403:
      return 'ApiForbidden';
    case 404:
      return 'ApiNotFound';
    case 409:
      return 'ApiConflict';
    case 429:
      return 'ApiThrottled';
    // 408: the request took too long; 410: the resource version is too old. Neither says that the request is wrong.
    case 408:
    case 410:
      return 'ApiUnavailable';
    default:
      return httpStatus >= 400 && httpStatus < 500 ? 'ApiInvalid' : 'ApiUnavailable';
  }
}

function parseStatus(body: string): Status {
  try {
    const value: { readonly kind?: unknown } & Status = JSON.parse(body);
    return value?.kind === 'Status' ? value : {};
  } catch {
    return {};
  }
}

/**
 * A Retry-After header (RFC 9110, section 10.2.3) in milliseconds from `now`: seconds or an HTTP date. Undefined when
 * there is none or it makes no sense.
 */
export function parseRetryAfter(value: string | undefined, now: number = Date.now()): number | undefined {
  if (value === undefined || value.trim() === '') return undefined;
  const ms = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), LONGEST_RETRY_AFTER_MS);
}

/** 410: the resource version or continue token is older than what the API server keeps; only a new list helps. */
export function isExpired(error: unknown): boolean {
  return (
    error instanceof ApiError && (error.httpStatus === 410 || error.reason === 'Expired' || error.reason === 'Gone')
  );
}

/** 404: no such object. */
export function isNotFound(error: unknown): boolean {
  return error instanceof BallastError && error.code === 'ApiNotFound';
}

/** 409 because of another version of the object; not because the name is taken. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.httpStatus === 409 && error.reason !== 'AlreadyExists';
}

/** 409 because the name is taken. */
export function isAlreadyExists(error: unknown): boolean {
  return error instanceof ApiError && error.reason === 'AlreadyExists';
}
