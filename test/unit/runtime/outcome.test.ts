import { describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import { outcomeOfThrow, ReconcileTimeout } from '#src/runtime/outcome';

const open = new AbortController().signal;
const ended = AbortSignal.abort();
const timedOut = AbortSignal.abort(new ReconcileTimeout(5_000));

describe('outcomeOfThrow', () => {
  it.each([
    ['ApiUnavailable', 'retryable'],
    ['ApiThrottled', 'throttled'],
    ['ApiConflict', 'conflict'],
    ['AddressInUse', 'terminal'],
    ['Bug', 'bug'],
  ] as const)('takes the kind of %s from the error table', (code, kind) => {
    const error = new BallastError(code, 'x');
    expect(outcomeOfThrow(error, open)).toEqual({ kind, code, error });
  });

  it('passes on how long to wait', () => {
    const error = new BallastError('ApiThrottled', 'x', { retryAfterMs: 7000 });
    expect(outcomeOfThrow(error, open)).toMatchObject({ kind: 'throttled', retryAfterMs: 7000 });
  });

  it('calls what nobody expected a bug', () => {
    expect(outcomeOfThrow(new TypeError('x'), open)).toMatchObject({ kind: 'bug', code: 'Bug' });
    expect(outcomeOfThrow('text', open)).toMatchObject({ kind: 'bug', error: { message: 'text' } });
  });

  it('is no failure when the process ends, whatever the abort was turned into', () => {
    expect(outcomeOfThrow(ended.reason, ended)).toEqual({ kind: 'aborted', error: ended.reason });
    expect(outcomeOfThrow(new BallastError('ApiUnavailable', 'cut'), ended).kind).toBe('aborted');
  });

  it('is worth another try when the time was over, unless the error says what it is', () => {
    expect(outcomeOfThrow(new TypeError('terminated'), timedOut)).toMatchObject({
      kind: 'retryable',
      code: 'ReconcileTimeout',
      error: { message: 'the reconcile did not end within 5 s' },
    });
    const error = new BallastError('AddressInUse', 'x');
    expect(outcomeOfThrow(error, timedOut)).toMatchObject({ kind: 'terminal', code: 'AddressInUse' });
  });
});
