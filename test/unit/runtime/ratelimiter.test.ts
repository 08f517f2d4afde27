import { describe, expect, it } from 'vitest';
import { ItemRateLimiter } from '#src/runtime/ratelimiter';

describe('ItemRateLimiter', () => {
  it('doubles the wait of each key on its own up to the limit (ItemExponentialFailureRateLimiter)', () => {
    const limiter = new ItemRateLimiter<string>({ initialMs: 1, maxMs: 10 });
    expect(Array.from({ length: 6 }, () => limiter.when('one'))).toEqual([1, 2, 4, 8, 10, 10]);
    expect(limiter.numRequeues('one')).toBe(6);
    expect([limiter.when('two'), limiter.when('two')]).toEqual([1, 2]);
    expect(limiter.numRequeues('two')).toBe(2);
  });

  it('starts from nothing after forget', () => {
    const limiter = new ItemRateLimiter<string>({ initialMs: 1, maxMs: 10 });
    limiter.when('one');
    limiter.when('one');
    limiter.forget('one');
    expect(limiter.numRequeues('one')).toBe(0);
    expect(limiter.when('one')).toBe(1);
  });

  it('does not overflow, however often a key fails (ItemExponentialFailureRateLimiterOverFlow)', () => {
    const limiter = new ItemRateLimiter<string>({ initialMs: 1000, maxMs: 300_000 });
    for (let i = 0; i < 5000; i++) limiter.when('one');
    expect(limiter.when('one')).toBe(300_000);
  });

  it('spreads the waits of different keys', () => {
    const rolls = [0.25, 0.75];
    const limiter = new ItemRateLimiter<string>(
      { initialMs: 1000, maxMs: 1000, jitter: 0.2 },
      () => rolls.shift() ?? 0,
    );
    expect([limiter.when('one'), limiter.when('two')]).toEqual([1050, 1150]);
  });
});
