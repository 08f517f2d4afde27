import { describe, expect, it } from 'vitest';
import { DeadlineExceeded, withDeadline } from '#src/kube/deadline';
import { FakeClock } from '#test/fakes/clock';

describe('withDeadline', () => {
  it('ends an operation that does not listen, and tells its signal', async () => {
    const clock = new FakeClock();
    let inner: AbortSignal | undefined;
    const result = withDeadline({ signal: new AbortController().signal, timeoutMs: 50, clock }, (signal) => {
      inner = signal;
      return new Promise(() => {});
    });
    await clock.advance(49);
    expect(inner?.aborted).toBe(false);
    await Promise.all([expect(result).rejects.toThrow(DeadlineExceeded), clock.advance(1)]);
    expect(inner?.aborted).toBe(true);
  });

  it("ends with the reason of the caller's signal, also when that came first", async () => {
    const caller = new AbortController();
    const result = withDeadline({ signal: caller.signal, timeoutMs: 50, clock: new FakeClock() }, () => {
      return new Promise(() => {});
    });
    const reason = new Error('enough');
    caller.abort(reason);
    await expect(result).rejects.toBe(reason);
    let wasCalled = false;
    const late = withDeadline({ signal: caller.signal, timeoutMs: 50 }, async () => {
      wasCalled = true;
    });
    await expect(late).rejects.toBe(reason);
    expect(wasCalled).toBe(false);
  });

  it('leaves no timer behind', async () => {
    const clock = new FakeClock();
    const { signal } = new AbortController();
    expect(await withDeadline({ signal, timeoutMs: 50, clock }, async () => 'done')).toBe('done');
    await withDeadline({ signal, timeoutMs: 50, clock }, () => Promise.reject(new Error('no'))).catch(() => {});
    expect(clock.pending).toBe(0);
  });
});
