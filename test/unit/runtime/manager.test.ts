import { beforeEach, describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import { Manager, type Component, type Leadership, type ManagerOptions } from '#src/runtime/manager';
import { runChecks } from '#src/telemetry/checks';
import { FakeClock, settle } from '#test/fakes/clock';
import { captureLog, type CapturedLog } from '#test/fakes/log';

let clock: FakeClock;
let captured: CapturedLog;
let stop: AbortController;
let events: string[];

beforeEach(() => {
  clock = new FakeClock();
  captured = captureLog();
  stop = new AbortController();
  events = [];
});

function manage(components: readonly Component[], options: Partial<ManagerOptions> = {}): Manager {
  const manager = new Manager({ clock, log: captured.log, ...options });
  for (const component of components) manager.add(component);
  return manager;
}

/** Notes its start, its abort and its end, which comes `endMs` after the abort. */
function component(name: string, endMs = 0, extra: Partial<Component> = {}): Component {
  return {
    name,
    async start(signal) {
      events.push(`${name} starts`);
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          events.push(`${name} aborted`);
          if (endMs === 0) resolve();
          else clock.after(endMs, resolve);
        });
      });
      events.push(`${name} ended`);
    },
    ...extra,
  };
}

/** Rejects when `fail` is called. */
function failing(name: string): Component & { fail: (error: unknown) => void } {
  const failure = Promise.withResolvers<void>();
  return { name, start: () => failure.promise, fail: (error) => failure.reject(error) };
}

function leadership(): Leadership & { acquire: () => void; lose: (reason: unknown) => void } {
  const acquired = Promise.withResolvers<void>();
  const lost = new AbortController();
  return {
    acquired: acquired.promise,
    lost: lost.signal,
    acquire: () => acquired.resolve(),
    lose: (reason) => lost.abort(reason),
  };
}

/** What the run came to: undefined, or what it threw. */
function outcome(running: Promise<void>): Promise<unknown> {
  return running.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('starting and ending', () => {
  it('starts in order and ends in the reverse order, one after the other', async () => {
    const running = manage([component('a'), component('b', 100), component('c')]).run(stop.signal);
    await settle();
    stop.abort();
    await clock.advance(200);
    await running;
    expect(events.slice(0, 3)).toEqual(['a starts', 'b starts', 'c starts']);
    expect(events.slice(3)).toEqual(['c aborted', 'c ended', 'b aborted', 'b ended', 'a aborted', 'a ended']);
    expect(clock.pending).toBe(0);
  });

  it('passes the reason of the end on', async () => {
    let seen: unknown;
    const running = manage([
      {
        name: 'a',
        start: (signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              seen = signal.reason;
              reject(signal.reason);
            });
          }),
      },
    ]).run(stop.signal);
    const reason = new Error('SIGTERM');
    stop.abort(reason);
    await running;
    expect(seen).toBe(reason);
  });

  it('starts nothing when the signal has aborted before', async () => {
    await manage([component('a')]).run(AbortSignal.abort());
    expect(events).toEqual([]);
  });

  it('ends when every component has finished by itself', async () => {
    await manage([
      { name: 'a', start: async () => {} },
      { name: 'b', start: () => new Promise((resolve) => setImmediate(resolve)) },
    ]).run(stop.signal);
    expect(stop.signal.aborted).toBe(false);
  });

  it('refuses a name twice, a late component and a second run', async () => {
    const manager = manage([component('a')]);
    expect(() => manager.add(component('a'))).toThrow('there is a component a already');
    const running = manager.run(stop.signal);
    expect(() => manager.add(component('b'))).toThrow('component b comes too late');
    await expect(manager.run(stop.signal)).rejects.toThrow('the manager has run before');
    stop.abort();
    await running;
  });
});

describe('a failing component', () => {
  it('ends all others in order with its error', async () => {
    const bad = failing('bad');
    const running = outcome(manage([component('a'), bad, component('c')]).run(stop.signal));
    await settle();
    const error = new BallastError('ListenFailed', 'port taken');
    bad.fail(error);
    expect(await running).toBe(error);
    expect(events.slice(2)).toEqual(['c aborted', 'c ended', 'a aborted', 'a ended']);
    expect(captured.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        component: 'bad',
        error: expect.objectContaining({ code: 'ListenFailed' }),
      }),
    );
  });

  it('keeps those after it from starting when it fails at once', async () => {
    const error = new Error('no');
    const bad: Component = {
      name: 'bad',
      start: () => {
        throw error;
      },
    };
    expect(await outcome(manage([component('a'), bad, component('c')]).run(stop.signal))).toBe(error);
    expect(events).toEqual(['a starts', 'a aborted', 'a ended']);
  });

  it('counts once: the first failure is the reason, the later ones are logged', async () => {
    const [one, two] = [failing('one'), failing('two')];
    const running = outcome(manage([one, two]).run(stop.signal));
    const first = new Error('first');
    one.fail(first);
    two.fail(new Error('second'));
    expect(await running).toBe(first);
    expect(captured.lines.filter(({ msg }) => msg === 'component failed').map((line) => line['component'])).toEqual([
      'one',
      'two',
    ]);
  });

  it('fails the run also while it ends', async () => {
    const bad = failing('bad');
    const running = outcome(manage([bad]).run(stop.signal));
    stop.abort();
    const error = new Error('could not save');
    bad.fail(error);
    expect(await running).toBe(error);
  });

  it('is one that aborts without having been asked to', async () => {
    const bad = failing('bad');
    const running = outcome(manage([bad]).run(stop.signal));
    const error = AbortSignal.abort().reason;
    bad.fail(error);
    expect(await running).toBe(error);
  });
});

describe('the time to end', () => {
  it('is shared: one that hangs leaves the others a fifth of it', async () => {
    const running = outcome(manage([component('a', 1_500), component('b', 1e9), component('c')]).run(stop.signal));
    await settle();
    stop.abort();
    await clock.advance(7_999);
    expect(events).not.toContain('a aborted');
    await clock.advance(1);
    expect(events).toContain('a aborted');
    await clock.advance(2_000);
    expect(await running).toMatchObject({ message: 'these components did not end within 10000 ms: b' });
    expect(events).toContain('a ended');
  });

  it('does not hide the failure that came before', async () => {
    const bad = failing('bad');
    const running = outcome(manage([component('a', 1e9), bad], { stopTimeoutMs: 100 }).run(stop.signal));
    const error = new Error('first');
    bad.fail(error);
    await clock.advance(100);
    expect(await running).toBe(error);
  });
});

describe('leadership', () => {
  const needs = { needsLeadership: true };

  it('those that need it end together and before the others: a slow one takes no time from another', async () => {
    const parts = [component('a'), component('slow', 8_500, needs), component('b'), component('c', 8_500, needs)];
    const running = manage(parts).run(stop.signal);
    await settle();
    events.length = 0;
    stop.abort();
    await settle();
    expect(events).toEqual(['slow aborted', 'c aborted']);
    await clock.advance(8_500);
    await running;
    expect(events.slice(-2).toSorted()).toEqual(['c ended', 'slow ended']);
  });

  it('holds back those that need it, and only those', async () => {
    const lead = leadership();
    const running = manage([component('a', 0, needs), component('b')], { leadership: lead }).run(stop.signal);
    await settle();
    expect(events).toEqual(['b starts']);
    lead.acquire();
    await settle();
    expect(events).toEqual(['b starts', 'a starts']);
    stop.abort();
    await running;
    expect(events.slice(2)).toEqual(['a aborted', 'a ended', 'b aborted', 'b ended']);
  });

  it('lost: those that need it are aborted at once and together, and the run fails with the reason', async () => {
    const lead = leadership();
    const parts = [component('elector'), component('a', 50, needs), component('b', 50, needs), component('c', 50)];
    const running = outcome(manage(parts, { leadership: lead }).run(stop.signal));
    lead.acquire();
    await settle();
    events.length = 0;
    const reason = new BallastError('NotLeader', 'the lease is gone');
    lead.lose(reason);
    expect(events).toEqual(['a aborted', 'b aborted']);
    await clock.advance(200);
    expect(await running).toBe(reason);
    expect(events.at(-1)).toBe('elector ended');
  });

  it('given up while the process ends is no failure', async () => {
    const lead = leadership();
    const elector = component('elector');
    const releasing: Component = {
      name: 'releasing',
      start: async (signal) => {
        await elector.start(signal);
        lead.lose(new BallastError('NotLeader', 'released'));
      },
    };
    const running = manage([releasing, component('a', 0, needs)], { leadership: lead }).run(stop.signal);
    lead.acquire();
    await settle();
    stop.abort();
    await running;
    expect(events.slice(2)).toEqual(['a aborted', 'a ended', 'elector aborted', 'elector ended']);
  });

  it('is not given up while a part that needs it still runs', async () => {
    const lead = leadership();
    const elector = component('elector', 0, { keepsLeadership: true });
    const parts = [elector, component('b'), component('a', 1e9, needs)];
    const running = outcome(manage(parts, { leadership: lead }).run(stop.signal));
    lead.acquire();
    await settle();
    stop.abort();
    await clock.advance(10_000);
    expect(await running).toMatchObject({ message: 'these components did not end within 10000 ms: a' });
    expect(events).toContain('b ended');
    expect(events).not.toContain('elector aborted');
  });

  it('is given up as soon as those parts have ended, if that is in time', async () => {
    const lead = leadership();
    const elector = component('elector', 0, { keepsLeadership: true });
    const running = manage([elector, component('a', 9_000, needs)], { leadership: lead }).run(stop.signal);
    lead.acquire();
    await settle();
    stop.abort();
    await clock.advance(9_000);
    await running;
    expect(events.slice(-3)).toEqual(['a ended', 'elector aborted', 'elector ended']);
  });

  it('that comes after the end starts nothing', async () => {
    const lead = leadership();
    const running = manage([component('a', 0, needs)], { leadership: lead }).run(stop.signal);
    stop.abort();
    await running;
    lead.acquire();
    await settle();
    expect(events).toEqual([]);
  });

  it('that cannot be had is a failure', async () => {
    const error = new Error('no Lease');
    const never = new AbortController().signal;
    const lead: Leadership = { acquired: Promise.reject(error), lost: never };
    expect(await outcome(manage([component('a', 0, needs)], { leadership: lead }).run(stop.signal))).toBe(error);
    expect(events).toEqual([]);
  });

  it('is not needed where nobody elects', async () => {
    const running = manage([component('a', 0, needs)]).run(stop.signal);
    await settle();
    expect(events).toEqual(['a starts']);
    stop.abort();
    await running;
  });
});

describe('the liveness checks', () => {
  it('ask those that have something to say while they run, and nobody else', async () => {
    let stuck = true;
    const lead = leadership();
    const live = (): boolean | string => !stuck || 'hangs for good';
    const manager = manage([component('store'), component('service', 0, { needsLeadership: true, live })], {
      leadership: lead,
    });
    expect(runChecks('healthz', manager.liveChecks()).text).toBe('[+]service ok\nhealthz check passed\n');
    const running = manager.run(stop.signal);
    lead.acquire();
    await settle();
    expect(runChecks('healthz', manager.liveChecks()).text).toContain('[-]service failed: hangs for good');
    stuck = false;
    expect(runChecks('healthz', manager.liveChecks()).ok).toBe(true);
    stop.abort();
    await running;
    stuck = true;
    expect(runChecks('healthz', manager.liveChecks()).ok).toBe(true);
  });
});

describe('the readiness checks', () => {
  it('ask each component that runs; a follower is ready', async () => {
    let synced = false;
    const lead = leadership();
    const manager = manage(
      [
        component('store', 0, { ready: () => synced || 'services not synced' }),
        component('health'),
        component('service', 0, { needsLeadership: true, ready: () => 'would be asked too early' }),
      ],
      { leadership: lead },
    );
    expect(runChecks('readyz', manager.checks()).text).toBe(
      '[-]store failed: not started\n[-]health failed: not started\n[+]service ok\n[+]shutdown ok\nreadyz check failed\n',
    );
    const running = manager.run(stop.signal);
    await settle();
    expect(runChecks('readyz', manager.checks()).text).toContain('[-]store failed: services not synced\n[+]health ok');
    synced = true;
    expect(runChecks('readyz', manager.checks()).ok).toBe(true);
    lead.acquire();
    await settle();
    expect(runChecks('readyz', manager.checks()).text).toContain('[-]service failed: would be asked too early');
    stop.abort();
    expect(runChecks('readyz', manager.checks()).text).toContain('[-]shutdown failed: the process ends');
    await running;
  });
});
