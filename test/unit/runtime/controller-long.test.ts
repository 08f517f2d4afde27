import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Controller } from '#src/runtime/controller';
import { registerControllerMetrics } from '#src/runtime/controllermetrics';
import type { Result } from '#src/runtime/outcome';
import { FakeClock, settle } from '#test/fakes/clock';
import { silentLog } from '#test/fakes/log';

const WORKERS = 2;

let clock: FakeClock;
let stop: AbortController;
let running: Promise<void>;
let controller: Controller<string>;
/** Keys whose reconcile has begun and not ended, and what ends it. */
let open: Map<string, () => void>;
let most: number;

beforeEach(() => {
  clock = new FakeClock();
  stop = new AbortController();
  open = new Map();
  most = 0;
  controller = new Controller<string>({
    name: 'service',
    reconcile: (key) =>
      new Promise<Result>((resolve) => {
        open.set(key, () => {
          open.delete(key);
          resolve({ kind: 'done' });
        });
        most = Math.max(most, open.size);
      }),
    workers: WORKERS,
    clock,
    log: silentLog,
    metrics: registerControllerMetrics(new Registry()),
  });
  running = controller.run(stop.signal);
});
afterEach(async () => {
  for (const end of open.values()) end();
  stop.abort();
  await clock.advance(60_000);
  await running;
  await controller.ended;
  if (clock.pending > 0) throw new Error(`${clock.pending} timers were left behind`);
});

function add(prefix: string, count: number): void {
  for (let index = 0; index < count; index += 1) controller.queue.add(`${prefix}-${index}`);
}

describe('reconciles that take long', () => {
  it('do not make the other keys wait', async () => {
    add('long', 3);
    await settle();
    expect([...open.keys()]).toEqual(['long-0', 'long-1']);
    await clock.advance(2_000);
    add('quick', 1);
    await settle();
    expect([...open.keys()]).toEqual(['long-0', 'long-1', 'long-2', 'quick-0']);
  });

  it('are four times as many as there are workers at most', async () => {
    add('long', 20);
    await clock.advance(60_000);
    expect(open.size).toBe(4 * WORKERS);
  });

  it('leave no more workers behind than there were', async () => {
    add('long', 4);
    await clock.advance(4_000);
    expect(open.size).toBe(4);
    for (const end of open.values()) end();
    await settle();
    most = 0;
    add('quick', 10);
    await settle();
    expect([open.size, most]).toEqual([WORKERS, WORKERS]);
  });

  it('take no worker from the others for good, when more have taken long than there are places', async () => {
    add('long', 8);
    await clock.advance(20_000);
    expect(open.size).toBe(8);
    for (const [key, end] of open) if (key !== 'long-6' && key !== 'long-7') end();
    await settle();
    add('quick', 3);
    await settle();
    expect([...open.keys()]).toEqual(['long-6', 'long-7', 'quick-0', 'quick-1']);
    open.get('quick-0')?.();
    await settle();
    expect([...open.keys()]).toEqual(['long-6', 'long-7', 'quick-1', 'quick-2']);
  });

  it('are no reason to begin anything once the end was asked for', async () => {
    add('long', 3);
    await settle();
    stop.abort();
    await clock.advance(4_000);
    expect([...open.keys()]).toEqual(['long-0', 'long-1']);
  });
});
