import { describe, expect, it } from 'vitest';
import { TokenBucket } from '#src/kube/tokenbucket';

describe('TokenBucket', () => {
  it('lets a burst through, then one per refill time', () => {
    const bucket = new TokenBucket({ burst: 3, refillMs: 100 });
    expect([0, 0, 0, 0, 99, 100, 101].map((now) => bucket.take(now))).toEqual([
      true,
      true,
      true,
      false,
      false,
      true,
      false,
    ]);
  });

  it('never holds more than the burst', () => {
    const bucket = new TokenBucket({ burst: 2, refillMs: 10 });
    expect([1000, 1000, 1000].map((now) => bucket.take(now))).toEqual([true, true, false]);
  });

  it('is full again after all tokens came back', () => {
    const bucket = new TokenBucket({ burst: 2, refillMs: 10 });
    bucket.take(0);
    bucket.take(0);
    expect([bucket.isFull(19), bucket.isFull(20)]).toEqual([false, true]);
  });
});
