import { describe, expect, it } from 'vitest';
import {
  apiErrorOf,
  isAlreadyExists,
  isConflict,
  isExpired,
  isNotFound,
  parseRetryAfter,
  watchErrorOf,
} from '#src/kube/apierror';

const request = 'PATCH /api/v1/namespaces/default/services/web';

function status(code: number, reason: string, more: object = {}): string {
  return JSON.stringify({ kind: 'Status', status: 'Failure', code, reason, message: `because of ${reason}`, ...more });
}

function error(httpStatus: number, body = '', retryAfter?: string): ReturnType<typeof apiErrorOf> {
  return apiErrorOf({ httpStatus, body, retryAfter, request });
}

describe('apiErrorOf', () => {
  it.each([
    [400, 'BadRequest', 'ApiInvalid', 'retryable'],
    [401, 'Unauthorized', 'ApiForbidden', 'retryable'],
    [403, 'Forbidden', 'ApiForbidden', 'retryable'],
    [404, 'NotFound', 'ApiNotFound', 'retryable'],
    [405, 'MethodNotAllowed', 'ApiInvalid', 'retryable'],
    [408, 'Timeout', 'ApiUnavailable', 'retryable'],
    [409, 'Conflict', 'ApiConflict', 'conflict'],
    [409, 'AlreadyExists', 'ApiConflict', 'conflict'],
    [410, 'Expired', 'ApiUnavailable', 'retryable'],
    [422, 'Invalid', 'ApiInvalid', 'retryable'],
    [429, 'TooManyRequests', 'ApiThrottled', 'throttled'],
    [500, 'InternalError', 'ApiUnavailable', 'retryable'],
    [503, 'ServiceUnavailable', 'ApiUnavailable', 'retryable'],
    [504, 'Timeout', 'ApiUnavailable', 'retryable'],
  ])('gives %i %s the code %s', (httpStatus, reason, code, kind) => {
    expect(error(httpStatus, status(httpStatus, reason))).toMatchObject({ code, kind, httpStatus, reason });
  });

  it('says what was asked and what was answered', () => {
    expect(error(409, status(409, 'Conflict')).message).toBe(`${request}: 409 because of Conflict`);
  });

  it('names the field that an invalid object has wrong', () => {
    const causes = [{ reason: 'FieldValueInvalid', field: 'spec.ports[0].nodePort', message: 'already allocated' }];
    const refused = error(422, status(422, 'Invalid', { details: { causes } }));
    expect(refused.field).toBe('spec.ports[0].nodePort');
    expect(refused.details?.causes).toEqual(causes);
  });

  it.each(['<html>Bad Gateway</html>', '', 'null', '"text"', '{"kind":"Other","reason":"Expired"}'])(
    'lives with the body %j, which is no Status',
    (body) => {
      expect(error(502, body)).toMatchObject({ code: 'ApiUnavailable', reason: '', httpStatus: 502 });
    },
  );

  it('waits as long as the header says, or else the Status', () => {
    const details = { retryAfterSeconds: 7 };
    expect(error(429, status(429, 'TooManyRequests', { details }), '3').retryAfterMs).toBe(3_000);
    expect(error(429, status(429, 'TooManyRequests', { details })).retryAfterMs).toBe(7_000);
    expect(error(429).retryAfterMs).toBeUndefined();
  });
});

describe('watchErrorOf', () => {
  it('takes the code from the Status of the ERROR event', () => {
    expect(watchErrorOf({ code: 410, reason: 'Expired', message: 'too old' }, 'WATCH /x')).toMatchObject({
      message: 'WATCH /x: the watch ended with 410 too old',
      httpStatus: 410,
    });
    expect(watchErrorOf({}, 'WATCH /x')).toMatchObject({ code: 'ApiUnavailable', httpStatus: 500 });
  });
});

describe('the questions about an error', () => {
  it('tell a lost race from a taken name', () => {
    const conflict = error(409, status(409, 'Conflict'));
    const exists = error(409, status(409, 'AlreadyExists'));
    expect([isConflict(conflict), isAlreadyExists(conflict)]).toEqual([true, false]);
    expect([isConflict(exists), isAlreadyExists(exists)]).toEqual([false, true]);
  });

  it('recognise an expired version by status and by reason', () => {
    expect(isExpired(error(410))).toBe(true);
    expect(isExpired(watchErrorOf({ code: 500, reason: 'Expired' }, ''))).toBe(true);
    expect(isExpired(watchErrorOf({ code: 410, reason: 'Gone' }, ''))).toBe(true);
    expect(isExpired(error(500))).toBe(false);
    expect(isExpired(new Error('410'))).toBe(false);
  });

  it('recognise what is not there', () => {
    expect(isNotFound(error(404))).toBe(true);
    expect(isNotFound(error(410))).toBe(false);
  });
});

describe('parseRetryAfter', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');

  it.each([
    ['0', 0],
    [' 12 ', 12_000],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 23:00:00 GMT', 0],
    ['Fri, 01 Jan 2027 00:00:00 GMT', 600_000],
    ['999999', 600_000],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('reads %j as %j ms', (value, ms) => {
    expect(parseRetryAfter(value, now)).toBe(ms);
  });
});
