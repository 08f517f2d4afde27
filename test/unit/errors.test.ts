import { describe, expect, it } from 'vitest';
import { BallastError, classify, isAbort } from '#src/errors';

describe('classify', () => {
  it('keeps an error that already has a code', () => {
    const error = new BallastError('AddressInUse', 'taken');
    expect(classify(error)).toBe(error);
    expect(error.kind).toBe('terminal');
  });

  it('calls what nobody expected a bug and keeps its cause', () => {
    const cause = new TypeError('x is undefined');
    expect(classify(cause)).toMatchObject({ code: 'Bug', kind: 'bug', message: 'x is undefined', cause });
    expect(classify('text')).toMatchObject({ code: 'Bug', message: 'text' });
  });
});

describe('isAbort', () => {
  it('tells an ending from a failure', () => {
    const controller = new AbortController();
    controller.abort();
    expect(isAbort(controller.signal.reason)).toBe(true);
    expect(isAbort(new Error('no'))).toBe(false);
  });
});
