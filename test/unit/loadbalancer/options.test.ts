import { assert, nat, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from '#src/loadbalancer/options';

describe('a duration', () => {
  it('is read as Go writes it', () => {
    expect(parseDuration('300ms')).toBe(300);
    expect(parseDuration('10s')).toBe(10_000);
    expect(parseDuration('5m')).toBe(300_000);
    expect(parseDuration('1h30m')).toBe(5_400_000);
    expect(parseDuration('1.5s')).toBe(1_500);
    expect(parseDuration('0')).toBe(0);
  });

  it('is refused without a unit, with a sign, or with anything else around it', () => {
    const texts = ['', '10', '-10s', '10 s', '10s ', 's', '1d', '10sec', '1e3s', '.5s', '0x1s'];
    expect(texts.filter((text) => parseDuration(text) !== undefined)).toEqual([]);
  });

  it('is written so that reading gives it back', () => {
    expect(formatDuration(5_400_000)).toBe('1h30m');
    expect(formatDuration(0)).toBe('0s');
    assert(
      property(nat(1_000_000_000), (milliseconds) => {
        expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds);
      }),
    );
  });
});
