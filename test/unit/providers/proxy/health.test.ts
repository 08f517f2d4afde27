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
    const t = rig();
    t.answers.set('a', 'yes');
    const watched = t.checker.watch(check('a'));
    expect(watched.health).toBe('unchecked');
    await t.clock.advance(0);
    expect(watched).toMatchObject({ health: 'healthy', passedAt: 0 });
    await t.clock.advance(9_500);
    expect(times(t, 'a')).toEqual([0, 3_000, 6_000, 9_000]);
    expect(t.changes).toEqual(['a healthy']);
  });

  it('asks again soon after a silence, so that a dead node is known in a second or two', async () => {
    const t = rig();
    t.answers.set('a', 'yes');
    const watched = t.checker.watch(check('a'));
    await t.clock.advance(1_000);
    t.answers.delete('a');
    await t.clock.advance(2_600);
    expect(watched.health).toBe('unhealthy');
    expect(times(t, 'a')).toEqual([0, 3_000, 3_500]);
    expect(t.checker.version).toBe(2);
  });

  it('asks once for everybody who wants to know, and stops when nobody does', async () => {
    const t = rig();
    const first = t.checker.watch(check('a'));
    const second = t.checker.watch(check('a'));
    expect(second).toBe(first);
    await t.clock.advance(0);
    t.checker.unwatch(first);
    expect(t.checker.size).toBe(1);
    t.checker.unwatch(second);
    expect(t.checker.size).toBe(0);
    expect(t.gone).toEqual(['a']);
    await t.clock.advance(60_000);
    expect(times(t, 'a')).toEqual([0]);
    expect(t.clock.pending).toBe(0);
  });

  it('begins anew for a node that comes back', async () => {
    const t = rig();
    t.answers.set('a', 'yes');
    const before = t.checker.watch(check('a'));
    await t.clock.advance(0);
    t.checker.unwatch(before);
    const after = t.checker.watch(check('a'));
    expect(after.health).toBe('unchecked');
    t.checker.recheck(before);
    await t.clock.advance(0);
    expect(after.health).toBe('healthy');
    expect(times(t, 'a')).toEqual([0, 0]);
  });

  it('asks at once when told to, and again afterwards when a check was under way', async () => {
    const t = rig({ takesMs: 100 });
    t.answers.set('a', 'yes');
    const watched = t.checker.watch(check('a'));
    await t.clock.advance(50);
    t.answers.set('a', 'no');
    t.checker.recheck(watched);
    await t.clock.advance(150);
    expect(times(t, 'a')).toEqual([0, 100]);
    await t.clock.advance(800);
    t.checker.recheck(watched);
    await t.clock.advance(2_900);
    expect(times(t, 'a')).toEqual([0, 100, 1_000]);
  });

  it('has only so many checks under way at once', async () => {
    const t = rig({ takesMs: 10 });
    for (let host = 0; host < 500; host++) {
      t.answers.set(String(host), 'yes');
      t.checker.watch(check(String(host)));
    }
    await t.clock.advance(1_000);
    expect(t.asked).toHaveLength(500);
    expect(t.most).toBe(64);
  });

  it('asks thousands of nodes less often', async () => {
    const t = rig();
    for (let host = 0; host < 4_000; host++) {
      t.answers.set(String(host), 'yes');
      t.checker.watch(check(String(host)));
    }
    await t.clock.advance(40_500);
    const perSecond = t.asked.length / 40;
    expect(perSecond).toBeGreaterThan(300);
    expect(perSecond).toBeLessThan(520);
  });

  it('asks nobody before it is started and after it was stopped', async () => {
    const t = rig({ start: false });
    const watched = t.checker.watch(check('a'));
    await t.clock.advance(10_000);
    expect(t.asked).toEqual([]);
    t.checker.start(t.abort.signal);
    await t.clock.advance(0);
    expect(t.asked).toHaveLength(1);
    t.abort.abort();
    t.checker.recheck(watched);
    await t.clock.advance(60_000);
    expect(t.asked).toHaveLength(1);
    expect(t.clock.pending).toBe(0);
  });
});
