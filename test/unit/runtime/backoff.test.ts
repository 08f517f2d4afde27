import { describe, expect, it } from 'vitest';
import { Backoff } from '#src/runtime/backoff';

describe('Backoff', () => {
  it('doubles up to the limit and stays there', () => {
    const backoff = new Backoff({ initialMs: 1000, maxMs: 5000 });
    expect(Array.from({ length: 5 }, () => backoff.next())).toEqual([1000, 2000, 4000, 5000, 5000]);
  });

  it('grows by the given factor', () => {
    const backoff = new Backoff({ initialMs: 10, maxMs: 1000, factor: 3 });
    expect([backoff.next(), backoff.next(), backoff.next()]).toEqual([10, 30, 90]);
  });

  it('starts again after a reset', () => {
    const backoff = new Backoff({ initialMs: 100, maxMs: 1000 });
    backoff.next();
    backoff.next();
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });

  it('adds a random share of the wait, above the limit too', () => {
    const rolls = [0, 0.5, 0.9];
    const backoff = new Backoff({ initialMs: 100, maxMs: 200, jitter: 0.5 }, () => rolls.shift() ?? 0);
    expect(backoff.next()).toBe(100);
    expect(backoff.next()).toBe(250);
    expect(backoff.next()).toBeCloseTo(290);
  });

  it('does not overflow after a very long outage', () => {
    const backoff = new Backoff({ initialMs: 800, maxMs: 30_000, factor: 10 });
    for (let i = 0; i < 2000; i++) backoff.next();
    expect(backoff.next()).toBe(30_000);
  });

  it.each([
    [{ initialMs: 0, maxMs: 1 }, /initialMs must be above 0, not 0/],
    [{ initialMs: 2, maxMs: 1 }, /maxMs must be finite and at least initialMs \(2\), not 1/],
    [{ initialMs: 2, maxMs: Infinity }, /maxMs must be finite/],
    [{ initialMs: 1, maxMs: 1, factor: 0.5 }, /factor must be at least 1/],
    [{ initialMs: 1, maxMs: 1, jitter: 1.5 }, /jitter must be from 0 to 1/],
  ])('refuses %o', (options, message) => {
    expect(() => new Backoff(options)).toThrow(message);
  });
});
