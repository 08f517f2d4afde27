import { describe, expect, it } from 'vitest';
import { UNCHECKED, afterProbe, isUndecided, type Health, type ProbeResult } from '#providers/proxy/probe-state';

const thresholds = { healthy: 2, unhealthy: 3 };

function healths(...results: readonly ProbeResult[]): readonly Health[] {
  let state = UNCHECKED;
  return results.map((result) => (state = afterProbe(state, result, thresholds)).health);
}

describe('health checks', () => {
  it('make a node healthy with the first yes', () => {
    expect(healths('yes', 'yes')).toEqual(['healthy', 'healthy']);
    expect(healths('silent', 'yes')).toEqual(['unchecked', 'healthy']);
  });

  it('make a node unhealthy with a no at once, for that is an answer', () => {
    expect(healths('no')).toEqual(['unhealthy']);
    expect(healths('yes', 'no')).toEqual(['healthy', 'unhealthy']);
  });

  it('make a node unhealthy after so many silences in a row', () => {
    expect(healths('yes', 'silent', 'silent', 'silent')).toEqual(['healthy', 'healthy', 'healthy', 'unhealthy']);
    expect(healths('yes', 'silent', 'silent', 'yes', 'silent')).toEqual(Array.from({ length: 5 }, () => 'healthy'));
    expect(healths('silent', 'silent', 'silent')).toEqual(['unchecked', 'unchecked', 'unhealthy']);
  });

  it('leave everything as it was where this machine could not ask', () => {
    expect(healths('unknown', 'unknown', 'unknown')).toEqual(['unchecked', 'unchecked', 'unchecked']);
    expect(healths('yes', 'unknown', 'unknown', 'unknown')).toEqual(Array.from({ length: 4 }, () => 'healthy'));
    expect(healths('no', 'unknown', 'yes', 'unknown', 'yes').at(-1)).toBe('healthy');
  });

  it('make an unhealthy node healthy after so many yeses in a row', () => {
    expect(healths('no', 'yes', 'yes')).toEqual(['unhealthy', 'unhealthy', 'healthy']);
    expect(healths('no', 'yes', 'silent', 'yes', 'yes').at(-2)).toBe('unhealthy');
    expect(healths('no', 'yes', 'silent', 'yes', 'yes').at(-1)).toBe('healthy');
  });

  it('are undecided until there is an answer, and when a healthy node begins to be silent', () => {
    expect(isUndecided(UNCHECKED)).toBe(true);
    const healthy = afterProbe(UNCHECKED, 'yes', thresholds);
    expect(isUndecided(healthy)).toBe(false);
    expect(isUndecided(afterProbe(healthy, 'silent', thresholds))).toBe(true);
    expect(isUndecided(afterProbe(healthy, 'no', thresholds))).toBe(false);
  });
});
