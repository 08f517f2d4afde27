import { describe, expect, it, vi } from 'vitest';
import { againstEstimate } from '../../control-plane/build-binary.ts';
import { formatEstimate, formatSeconds, withProgress } from '../../control-plane/progress.ts';

describe('formatSeconds', () => {
  it.each([
    [0.4, '0 s'],
    [59, '59 s'],
    [60, '1 min'],
    [200, '3 min 20 s'],
    [3600, '1 h'],
    [3900, '1 h 5 min'],
  ])('says %d seconds as %s', (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text);
  });
});

describe('formatEstimate', () => {
  it('rounds what is longer than a minute to ten seconds', () => {
    expect(formatEstimate(193)).toBe('about 3 min 10 s');
    expect(formatEstimate(43)).toBe('about 43 s');
  });
});

describe('againstEstimate', () => {
  it('sets the time against the estimate', () => {
    expect(againstEstimate(45, 200)).toBe('45 s of about 3 min 20 s');
  });

  it('says so when the estimate was too low', () => {
    expect(againstEstimate(240, 200)).toBe('4 min, longer than the estimated 3 min 20 s');
  });
});

describe('withProgress', () => {
  it('speaks every few seconds while the work lasts, and not after', async () => {
    vi.useFakeTimers();
    const lines: string[] = [];
    const work = withProgress(
      (line) => lines.push(line),
      (elapsed) => `${elapsed} s`,
      () => new Promise((resolve) => setTimeout(resolve, 11_000, 'done')),
    );
    await vi.advanceTimersByTimeAsync(30_000);
    vi.useRealTimers();
    expect(await work).toBe('done');
    expect(lines).toEqual(['5 s', '10 s']);
  });
});
