import { describe, expect, it } from 'vitest';
import { HealthChecker, type Check, type Watched } from '#providers/proxy/health';
import type { ProbeResult } from '#providers/proxy/probe-state';
import { FakeClock } from '#test/fakes/clock';

const OPTIONS = { intervalMs: 3_000, timeoutMs: 1_000, thresholds: { healthy: 1, unhealthy: 2 } };

interface Rig {
  readonly clock: FakeClock;
  readonly checker: HealthChecker;
  readonly abort: AbortController;
  /** What each host answers; silence where nothing is set. */
  readonly answers: Map<string, ProbeResult>;
  /** When each host was asked. */
  readonly asked: { readonly host: string; readonly at: number }[];
  readonly changes: string[];
  readonly gone: string[];
  running: number;
  most: number;
}

function rig({ takesMs = 0, start = true } = {}): Rig {
  const clock = new FakeClock();
  const abort = new AbortController();
  const parts = { clock, abort, answers: new Map(), asked: [], changes: [], gone: [], running: 0, most: 0 };
  const rig: Rig = {
    ...parts,
    checker: new HealthChecker(OPTIONS, {
      clock,
      random: () => 0,
      onChange: ({ check, health }: Watched) => rig.changes.push(`${check.host} ${health}`),
      onGone: ({ host }: Check) => rig.gone.push(host),
      async probe(host) {
        rig.asked.push({ host, at: clock.now() });
        rig.running++;
        rig.most = Math.max(rig.most, rig.running);
        if (takesMs > 0) await new Promise<void>((resolve) => clock.after(takesMs, resolve));
        rig.running--;
        return rig.answers.get(host) ?? 'silent';
      },
    }),
  };
  if (start) rig.checker.start(abort.signal);
  return rig;
}

const check = (host: string): Check => ({ node: `node at ${host}`, host, port: 10_256 });
const times = ({ asked }: Rig, host: string): readonly number[] =>
  asked.filter((each) => each.host === host).map(({ at }) => at);

describe('the health checker', () => {
  it('asks at once, then once in every interval', async () => {
    const it = rig();
    it.answers.set('a', 'yes');
    const watched = it.checker.watch(check('a'));
    expect(watched.health).toBe('unchecked');
    await it.clock.advance(0);
    expect(watched).toMatchObject({ health: 'healthy', passedAt: 0 });
    await it.clock.advance(9_500);
    expect(times(it, 'a')).toEqual([0, 3_000, 6_000, 9_000]);
    expect(it.changes).toEqual(['a healthy']);
  });

  it('asks again soon after a silence, so that a dead node is known in a second or two', async () => {
    const it = rig();
    it.answers.set('a', 'yes');
    const watched = it.checker.watch(check('a'));
    await it.clock.advance(1_000);
    it.answers.delete('a');
    await it.clock.advance(2_600);
    expect(watched.health).toBe('unhealthy');
    expect(times(it, 'a')).toEqual([0, 3_000, 3_500]);
    expect(it.checker.version).toBe(2);
  });

  it('asks once for everybody who wants to know, and stops when nobody does', async () => {
    const it = rig();
    const first = it.checker.watch(check('a'));
    const second = it.checker.watch(check('a'));
    expect(second).toBe(first);
    await it.clock.advance(0);
    it.checker.unwatch(first);
    expect(it.checker.size).toBe(1);
    it.checker.unwatch(second);
    expect(it.checker.size).toBe(0);
    expect(it.gone).toEqual(['a']);
    await it.clock.advance(60_000);
    expect(times(it, 'a')).toEqual([0]);
    expect(it.clock.pending).toBe(0);
  });

  it('begins anew for a node that comes back', async () => {
    const it = rig();
    it.answers.set('a', 'yes');
    const before = it.checker.watch(check('a'));
    await it.clock.advance(0);
    it.checker.unwatch(before);
    const after = it.checker.watch(check('a'));
    expect(after.health).toBe('unchecked');
    it.checker.recheck(before);
    await it.clock.advance(0);
    expect(after.health).toBe('healthy');
    expect(times(it, 'a')).toEqual([0, 0]);
  });

  it('asks at once when told to, and again afterwards when a check was under way', async () => {
    const it = rig({ takesMs: 100 });
    it.answers.set('a', 'yes');
    const watched = it.checker.watch(check('a'));
    await it.clock.advance(50);
    it.answers.set('a', 'no');
    it.checker.recheck(watched);
    await it.clock.advance(150);
    expect(times(it, 'a')).toEqual([0, 100]);
    await it.clock.advance(800);
    it.checker.recheck(watched);
    await it.clock.advance(2_900);
    expect(times(it, 'a')).toEqual([0, 100, 1_000]);
  });

  it('has only so many checks under way at once', async () => {
    const it = rig({ takesMs: 10 });
    for (let host = 0; host < 500; host++) {
      it.answers.set(String(host), 'yes');
      it.checker.watch(check(String(host)));
    }
    await it.clock.advance(1_000);
    expect(it.asked).toHaveLength(500);
    expect(it.most).toBe(64);
  });

  it('asks thousands of nodes less often', async () => {
    const it = rig();
    for (let host = 0; host < 4_000; host++) {
      it.answers.set(String(host), 'yes');
      it.checker.watch(check(String(host)));
    }
    await it.clock.advance(40_500);
    const perSecond = it.asked.length / 40;
    expect(perSecond).toBeGreaterThan(300);
    expect(perSecond).toBeLessThan(520);
  });

  it('asks nobody before it is started and after it was stopped', async () => {
    const it = rig({ start: false });
    const watched = it.checker.watch(check('a'));
    await it.clock.advance(10_000);
    expect(it.asked).toEqual([]);
    it.checker.start(it.abort.signal);
    await it.clock.advance(0);
    expect(it.asked).toHaveLength(1);
    it.abort.abort();
    it.checker.recheck(watched);
    await it.clock.advance(60_000);
    expect(it.asked).toHaveLength(1);
    expect(it.clock.pending).toBe(0);
  });
});
