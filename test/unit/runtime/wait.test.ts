import { describe, expect, it } from 'vitest';
import { settlesWithin, untilAborted } from '#src/runtime/wait';
import { FakeClock } from '#test/fakes/clock';

describe('untilAborted', () => {
  it('resolves on the abort, and at once after it', async () => {
    const abort = new AbortController();
    const waiting = untilAborted(abort.signal);
    abort.abort(new Error('no error for those who wait'));
    await expect(waiting).resolves.toBeUndefined();
    await expect(untilAborted(abort.signal)).resolves.toBeUndefined();
  });
});

describe('settlesWithin', () => {
  it('is true for what resolves or rejects in time, and leaves no timer', async () => {
    const clock = new FakeClock();
    expect(await settlesWithin(clock, Promise.resolve(1), 10)).toBe(true);
    expect(await settlesWithin(clock, Promise.reject(new Error('no')), 10)).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('is false for what does not', async () => {
    const clock = new FakeClock();
    const waiting = settlesWithin(clock, new Promise(() => {}), 10);
    await clock.advance(10);
    expect(await waiting).toBe(false);
  });
});
