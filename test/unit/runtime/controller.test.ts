import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import type { Clock } from '#src/runtime/clock';
import { Controller, type ControllerOptions, type ReconcileContext } from '#src/runtime/controller';
import { registerControllerMetrics } from '#src/runtime/controllermetrics';
import type { Result } from '#src/runtime/outcome';
import { FakeClock, settle } from '#test/fakes/clock';
import { captureLog, type CapturedLog, type LogLine } from '#test/fakes/log';

type Reconcile = ControllerOptions<string>['reconcile'];

const DONE: Result = { kind: 'done' };

let clock: FakeClock;
let registry: Registry;
let captured: CapturedLog;
let stop: AbortController;
let running: Promise<void>;

beforeEach(() => {
  clock = new FakeClock();
  registry = new Registry();
  captured = captureLog();
  stop = new AbortController();
  running = Promise.resolve();
});

afterEach(async () => {
  stop.abort();
  await clock.advance(60_000);
  await running;
  if (clock.pending > 0) throw new Error(`${clock.pending} timers were left behind`);
});

function start(reconcile: Reconcile, options: Partial<ControllerOptions<string>> = {}): Controller<string> {
  const controller = new Controller<string>({
    name: 'service',
    reconcile,
    workers: 2,
    clock,
    log: captured.log,
    metrics: registerControllerMetrics(registry),
    backoff: { initialMs: 1_000, maxMs: 300_000 },
    ...options,
  });
  running = controller.run(stop.signal);
  return controller;
}

/** Fails with each of the errors in turn, then succeeds; notes when it ran. */
function failing(errors: unknown[]): { reconcile: Reconcile; times: number[] } {
  const times: number[] = [];
  const reconcile: Reconcile = async () => {
    times.push(clock.now());
    if (errors.length > 0) throw errors.shift();
    return DONE;
  };
  return { reconcile, times };
}

function many(count: number, code: ConstructorParameters<typeof BallastError>[0]): BallastError[] {
  return Array.from({ length: count }, () => new BallastError(code, `${code} happened`));
}

function reconcileLines(): LogLine[] {
  return captured.lines.filter(({ msg }) => msg === 'reconciled');
}

async function value(line: string): Promise<number | undefined> {
  const found = (await registry.metrics()).split('\n').find((text) => text.startsWith(`${line} `));
  return found === undefined ? undefined : Number(found.slice(line.length));
}

describe('what follows from an outcome', () => {
  it('done: the key is forgotten', async () => {
    const { reconcile, times } = failing(many(2, 'ApiUnavailable'));
    const controller = start(reconcile);
    controller.queue.add('a/b');
    await clock.advance(100_000);
    expect(times).toHaveLength(3);
    expect(controller.queue.numRequeues('a/b')).toBe(0);
  });

  it('requeue: the key is forgotten and comes back when it said', async () => {
    const times: number[] = [];
    const controller = start(async () => {
      times.push(clock.now());
      if (times.length === 1) throw new BallastError('ApiUnavailable', 'x');
      return times.length === 2 ? { kind: 'requeue', afterMs: 30_000, reason: 'provisioning' } : DONE;
    });
    controller.queue.add('a/b');
    await clock.advance(100_000);
    expect(times).toEqual([0, 1_000, 31_000]);
    expect(controller.queue.numRequeues('a/b')).toBe(0);
    expect(reconcileLines()[1]).toMatchObject({ outcome: 'requeue', afterMs: 30_000, reason: 'provisioning' });
  });

  it.each(['ApiUnavailable', 'Bug'] as const)('%s: the key comes back after growing waits', async (code) => {
    const { reconcile, times } = failing(many(4, code));
    start(reconcile).queue.add('a/b');
    await clock.advance(100_000);
    expect(times).toEqual([0, 1_000, 3_000, 7_000, 15_000]);
  });

  it('throttled: the key comes back when the other side said', async () => {
    const { reconcile, times } = failing([new BallastError('ApiThrottled', 'x', { retryAfterMs: 12_000 })]);
    start(reconcile).queue.add('a/b');
    await clock.advance(100_000);
    expect(times).toEqual([0, 12_000]);
  });

  it('throttled without a time, or with none: the key backs off', async () => {
    const { reconcile, times } = failing([
      new BallastError('ApiThrottled', 'x'),
      new BallastError('ApiThrottled', 'x', { retryAfterMs: 0 }),
    ]);
    start(reconcile).queue.add('a/b');
    await clock.advance(100_000);
    expect(times).toEqual([0, 1_000, 3_000]);
  });

  it('conflict: the key comes back at once three times, then backs off', async () => {
    const { reconcile, times } = failing(many(5, 'ApiConflict'));
    start(reconcile).queue.add('a/b');
    await clock.advance(100_000);
    expect(times).toEqual([0, 0, 0, 0, 1_000, 3_000]);
  });

  it('conflict: another outcome in between starts the count again', async () => {
    const { reconcile, times } = failing([
      ...many(3, 'ApiConflict'),
      ...many(1, 'ApiUnavailable'),
      ...many(3, 'ApiConflict'),
    ]);
    start(reconcile).queue.add('a/b');
    await clock.advance(100_000);
    expect(times).toEqual([0, 0, 0, 0, 1_000, 1_000, 1_000, 1_000]);
  });

  it('terminal: the key stays away until it is added again', async () => {
    const { reconcile, times } = failing([...many(1, 'ApiUnavailable'), ...many(1, 'InvalidAnnotation')]);
    const controller = start(reconcile);
    controller.queue.add('a/b');
    await clock.advance(1_000_000);
    expect(times).toEqual([0, 1_000]);
    expect(controller.queue.numRequeues('a/b')).toBe(0);
    controller.queue.add('a/b');
    await clock.advance(0);
    expect(times).toHaveLength(3);
  });

  it('one failing key does not delay another', async () => {
    const seen: string[] = [];
    const controller = start(
      async (key) => {
        seen.push(key);
        if (key === 'bad') throw new TypeError('x');
        return DONE;
      },
      { workers: 1 },
    );
    for (const key of ['bad', 'good', 'better']) controller.queue.add(key);
    await settle();
    expect(seen).toEqual(['bad', 'good', 'better']);
  });
});

describe('the log', () => {
  it('has one line for each reconcile with key, outcome and duration, quiet when nothing changed', async () => {
    const results: Result[] = [DONE, { kind: 'done', changed: true, detail: 'patched status' }];
    const controller = start(async () => {
      await new Promise<void>((resolve) => {
        clock.after(250, resolve);
      });
      return results.shift() ?? DONE;
    });
    controller.queue.add('a/b');
    await clock.advance(1_000);
    controller.queue.add('a/b');
    await clock.advance(1_000);
    const common = { controller: 'service', key: 'a/b', outcome: 'done', durationMs: 250 };
    expect(reconcileLines()).toEqual([
      expect.objectContaining({ ...common, level: 'debug' }),
      expect.objectContaining({ ...common, level: 'info', changed: true, detail: 'patched status' }),
    ]);
  });

  it.each([
    ['ApiUnavailable', 'warn', 'retryable'],
    ['ApiThrottled', 'info', 'throttled'],
    ['ApiConflict', 'info', 'conflict'],
    ['InvalidAnnotation', 'warn', 'terminal'],
  ] as const)('has the code of %s at level %s', async (code, level, outcome) => {
    start(failing(many(1, code)).reconcile).queue.add('a/b');
    await settle();
    expect(reconcileLines()[0]).toMatchObject({ level, outcome, code, key: 'a/b', error: { code } });
  });

  it('has a bug as an error with the stack of its origin', async () => {
    start(failing([new TypeError('x is undefined')]).reconcile).queue.add('a/b');
    await settle();
    expect(reconcileLines()[0]).toMatchObject({
      level: 'error',
      outcome: 'bug',
      code: 'Bug',
      error: { cause: { name: 'TypeError', stack: expect.stringContaining('controller.test.ts') } },
    });
  });

  it('gives each reconcile a log with an id of its own', async () => {
    const ids: string[] = [];
    const controller = start(async (_key, context: ReconcileContext) => {
      ids.push(context.reconcileId);
      context.log.info({}, 'inside');
      return DONE;
    });
    controller.queue.add('a');
    controller.queue.add('b');
    await settle();
    const inside = captured.lines.filter(({ msg }) => msg === 'inside');
    expect(inside.map((line) => line['reconcileId'])).toEqual(ids);
    expect(new Set(ids).size).toBe(2);
  });
});

describe('the metrics', () => {
  it('count outcomes and error codes, and time reconciles', async () => {
    const errors = [...many(2, 'ApiUnavailable'), ...many(1, 'ApiConflict'), new TypeError('x')];
    start(failing(errors).reconcile).queue.add('a/b');
    await clock.advance(100_000);
    expect(await value('ballast_reconcile_total{controller="service",outcome="retryable"}')).toBe(2);
    expect(await value('ballast_reconcile_total{controller="service",outcome="conflict"}')).toBe(1);
    expect(await value('ballast_reconcile_total{controller="service",outcome="bug"}')).toBe(1);
    expect(await value('ballast_reconcile_total{controller="service",outcome="done"}')).toBe(1);
    expect(await value('ballast_reconcile_total{controller="service",outcome="terminal"}')).toBe(0);
    expect(await value('ballast_reconcile_errors_total{controller="service",code="ApiUnavailable"}')).toBe(2);
    expect(await value('ballast_reconcile_errors_total{controller="service",code="Bug"}')).toBe(1);
    expect(await value('ballast_reconcile_duration_seconds_count{controller="service"}')).toBe(5);
    expect(await value('workqueue_adds_total{name="service"}')).toBe(5);
  });

  it('show how many workers are busy', async () => {
    const held = Promise.withResolvers<Result>();
    const controller = start(() => held.promise);
    for (const key of ['a', 'b', 'c']) controller.queue.add(key);
    await settle();
    expect(await value('ballast_reconcile_active_workers{controller="service"}')).toBe(2);
    expect(await value('workqueue_depth{name="service"}')).toBe(1);
    held.resolve(DONE);
    await settle();
    expect(await value('ballast_reconcile_active_workers{controller="service"}')).toBe(0);
  });
});

describe('the workers', () => {
  it('reconcile keys that were added before they started', async () => {
    const seen: string[] = [];
    const controller = new Controller<string>({
      name: 'early',
      reconcile: async (key) => {
        seen.push(key);
        return DONE;
      },
      workers: 1,
      clock,
      log: captured.log,
      metrics: registerControllerMetrics(registry),
    });
    controller.queue.add('a');
    running = controller.run(stop.signal);
    await settle();
    expect(seen).toEqual(['a']);
    await expect(controller.run(stop.signal)).rejects.toThrow('controller early has run before');
  });

  it('let timers have a turn while a long queue is worked off without a pause', async () => {
    let done = 0;
    const realTime: Clock = { now: () => performance.now(), after: (ms, callback) => clock.after(ms, callback) };
    const controller = start(
      async () => {
        const until = performance.now() + 0.2;
        while (performance.now() < until);
        done++;
        return DONE;
      },
      { workers: 1, clock: realTime },
    );
    for (let i = 0; i < 1_000; i++) controller.queue.add(String(i));
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 1);
    });
    expect(done).toBeLessThan(900);
    stop.abort();
    await running;
  });

  it('must be a whole number above 0', () => {
    expect(() => start(async () => DONE, { workers: 0 })).toThrow('workers must be a whole number above 0, not 0');
  });
});

describe('the time limit of a reconcile', () => {
  it('aborts its signal and tries again with backoff', async () => {
    const times: number[] = [];
    start(
      (_key, { signal }) => {
        times.push(clock.now());
        return new Promise((resolve, reject) => {
          if (times.length > 1) resolve(DONE);
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      },
      { timeoutMs: 60_000 },
    ).queue.add('a/b');
    await clock.advance(100_000);
    expect(times).toEqual([0, 61_000]);
    expect(reconcileLines()[0]).toMatchObject({ outcome: 'retryable', code: 'ReconcileTimeout', durationMs: 60_000 });
    expect(await value('ballast_reconcile_errors_total{controller="service",code="ReconcileTimeout"}')).toBe(1);
  });

  it('never runs the key twice at once, even if the reconcile does not heed its abort', async () => {
    const held = Promise.withResolvers<Result>();
    let calls = 0;
    const controller = start(
      () => {
        calls++;
        return held.promise;
      },
      { timeoutMs: 1_000 },
    );
    controller.queue.add('a/b');
    await clock.advance(0);
    controller.queue.add('a/b');
    await clock.advance(500_000);
    expect(calls).toBe(1);
    expect(captured.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', msg: 'aborting a reconcile that takes too long' }),
    );
    held.resolve(DONE);
    await settle();
    expect(calls).toBe(2);
  });

  it('once it is over and its abort not heeded, the process counts as ill until the reconcile ends', async () => {
    const held = Promise.withResolvers<Result>();
    const controller = start(() => held.promise, { timeoutMs: 60_000, abortMs: 1_000 });
    controller.queue.add('a/b');
    await clock.advance(61_000);
    expect(controller.live()).toBe(true);
    await clock.advance(9_000);
    expect(controller.live()).toBe('did not heed their abort: a/b (10 s ago)');
    held.resolve(DONE);
    await settle();
    expect(controller.live()).toBe(true);
  });
});

describe('the end', () => {
  it('aborts what is under way at once when leadership was lost', async () => {
    const aborted: unknown[] = [];
    const controller = start((_key, { signal }) => {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted.push(clock.now());
          reject(signal.reason);
        });
      });
    });
    controller.queue.add('a/b');
    await clock.advance(100);
    stop.abort(new BallastError('NotLeader', 'the Lease is gone'));
    await settle();
    expect(aborted).toEqual([100]);
    await running;
    expect(reconcileLines()).toMatchObject([{ outcome: 'aborted' }]);
  });

  it('takes no more keys and lets the running ones finish', async () => {
    const seen: string[] = [];
    const held = Promise.withResolvers<Result>();
    const controller = start(
      (key) => {
        seen.push(key);
        return held.promise;
      },
      { workers: 1 },
    );
    controller.queue.add('a');
    controller.queue.add('b');
    await settle();
    stop.abort();
    await clock.advance(4_000);
    held.resolve({ kind: 'done', changed: true });
    await running;
    expect(seen).toEqual(['a']);
    expect(reconcileLines()).toHaveLength(1);
    expect(captured.lines.at(-1)).toMatchObject({ msg: 'controller ended', left: 1 });
  });

  it('does not come back to a key that fails meanwhile', async () => {
    const held = Promise.withResolvers<Result>();
    let calls = 0;
    const controller = start(() => {
      calls++;
      return held.promise;
    });
    controller.queue.add('a');
    await settle();
    stop.abort();
    held.reject(new BallastError('ApiConflict', 'x'));
    await running;
    expect(calls).toBe(1);
    expect(controller.queue.length).toBe(0);
  });

  it('aborts those that do not finish in time, which is no failure', async () => {
    let abortedAt: number | undefined;
    const controller = start(
      (_key, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            abortedAt = clock.now();
            reject(signal.reason);
          });
        }),
    );
    controller.queue.add('a');
    await settle();
    stop.abort();
    await clock.advance(5_000);
    await running;
    expect(abortedAt).toBe(5_000);
    expect(reconcileLines()[0]).toMatchObject({ level: 'info', outcome: 'aborted' });
    expect(await value('ballast_reconcile_total{controller="service",outcome="aborted"}')).toBe(1);
  });

  it('does not wait for those that do not heed their abort, and says which they are', async () => {
    const held = Promise.withResolvers<Result>();
    const controller = start(() => held.promise);
    controller.queue.add('a/b');
    await settle();
    stop.abort();
    await clock.advance(6_000);
    await running;
    expect(captured.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        keys: ['a/b'],
        msg: 'leaving reconciles behind that do not heed their abort',
      }),
    );
    let ended = false;
    void controller.ended.then(() => (ended = true));
    await settle();
    expect(ended).toBe(false);
    held.resolve(DONE);
    await settle();
    expect(ended).toBe(true);
  });

  it('leaves a key alone that was handed out in the same moment', async () => {
    const seen: string[] = [];
    const controller = start(async (key) => {
      seen.push(key);
      return DONE;
    });
    await settle();
    controller.queue.add('a');
    stop.abort();
    await running;
    expect(seen).toEqual([]);
  });

  it('is a failure when a worker breaks, and the other workers end too', async () => {
    const controller = start(async () => JSON.parse('{"kind":"nonsense"}'));
    controller.queue.add('a');
    const failed = running;
    running = Promise.resolve();
    await expect(failed).rejects.toThrow('a reconcile of a ended with an outcome that does not exist');
    expect(controller.queue.shuttingDown).toBe(true);
  });

  it('comes at once when nothing runs', async () => {
    start(async () => DONE);
    await settle();
    stop.abort();
    await running;
    expect(clock.now()).toBe(0);
  });
});
