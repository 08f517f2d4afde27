import * as fc from 'fast-check';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createProxyProvider } from '#providers/proxy/index';
import { filesNeeded, limitsWithin, mostOpenFiles, parseMostOpenFiles } from '#providers/proxy/open-files';
import { parseProxyOptions } from '#providers/proxy/options';
import { captureLog } from '#test/fakes/log';

const LIMITS = { maxConnections: 8_000, maxWaiting: 1_000, maxUdpSessions: 2_000 };

describe('the limits, where the process may open too few files', () => {
  it('stay as they are where the files are enough, or their number is unknown', () => {
    expect(limitsWithin(LIMITS, filesNeeded(LIMITS))).toBe(LIMITS);
    expect(limitsWithin(LIMITS, undefined)).toBe(LIMITS);
  });

  it('shrink in proportion where they are not', () => {
    expect(limitsWithin(LIMITS, 256 + 1_900)).toEqual({ maxConnections: 800, maxWaiting: 100, maxUdpSessions: 200 });
  });

  it('take the least of one connection and one session from those that wait', () => {
    expect(limitsWithin({ maxConnections: 1, maxWaiting: 1_000_000, maxUdpSessions: 1 }, 256 + 44)).toEqual({
      maxConnections: 1,
      maxWaiting: 41,
      maxUdpSessions: 1,
    });
  });

  it('never need more than there is, but let somebody in', () => {
    const count = fc.integer({ min: 1, max: 1_000_000 });
    fc.assert(
      fc.property(count, fc.nat(1_000_000), count, count, (maxConnections, maxWaiting, maxUdpSessions, files) => {
        const limited = limitsWithin({ maxConnections, maxWaiting, maxUdpSessions }, files);
        expect(Math.min(limited.maxConnections, limited.maxUdpSessions)).toBeGreaterThan(0);
        expect(filesNeeded(limited)).toBeLessThanOrEqual(Math.max(files, 256 + 8));
      }),
    );
  });

  it('are told at the start with the flags that decide them, once', async () => {
    for (const [openFiles, warnings] of [
      [1_024, 1],
      [100_000, 0],
    ] as const) {
      const { log, lines } = captureLog();
      const provider = createProxyProvider(parseProxyOptions({}), { log, registry: new Registry(), openFiles });
      expect(lines).toEqual([]);
      await provider.run(AbortSignal.abort());
      const told = lines.filter(({ level }) => level === 'warn');
      expect(told).toHaveLength(warnings);
      for (const { msg } of told) {
        for (const flag of ['max-connections', 'max-waiting', 'max-udp-sessions'])
          expect(msg).toContain(`--proxy-${flag}`);
      }
    }
  });
});

describe('the number of files that may be open', () => {
  it('is read from the soft limit', () => {
    const text =
      'Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n';
    expect(parseMostOpenFiles(text)).toBe(1_024);
    expect(
      parseMostOpenFiles('Max open files            unlimited            unlimited            files'),
    ).toBeUndefined();
  });

  it('is known on Linux', () => {
    expect(mostOpenFiles() === undefined).toBe(process.platform !== 'linux');
  });
});
