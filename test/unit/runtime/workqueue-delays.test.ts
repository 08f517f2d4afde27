import { Registry } from 'prom-client';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '#src/runtime/clock';
import { registerQueueMetrics } from '#src/runtime/queuemetrics';
import { WorkQueue } from '#src/runtime/workqueue';
import { FakeClock } from '#test/fakes/clock';

const never = new AbortController().signal;

let clock: FakeClock;
let queue: WorkQueue<string>;

beforeEach(() => {
  clock = new FakeClock();
  queue = queueOn(clock);
});

function queueOn(clock: Clock): WorkQueue<string> {
  const metrics = registerQueueMetrics(new Registry());
  return new WorkQueue({ name: 'test', clock, metrics, backoff: { initialMs: 1, maxMs: 1000 } });
}

async function take(): Promise<string | undefined> {
  const key = queue.length > 0 ? await queue.get(never) : undefined;
  if (key !== undefined) queue.done(key);
  return key;
}

describe('addAfter', () => {
  it('adds once, when the time has come (SimpleQueue)', async () => {
    queue.addAfter('foo', 50);
    await clock.advance(49);
    expect(queue.length).toBe(0);
    await clock.advance(1);
    expect(await take()).toBe('foo');
    await clock.advance(10_000);
    expect(queue.length).toBe(0);
  });

  it('keeps the earliest time of a key (Deduping)', async () => {
    queue.addAfter('foo', 50);
    queue.addAfter('foo', 70);
    await clock.advance(60);
    expect(await take()).toBe('foo');
    await clock.advance(20);
    expect(queue.length).toBe(0);

    queue.addAfter('foo', 50);
    queue.addAfter('foo', 30);
    await clock.advance(40);
    expect(await take()).toBe('foo');
    await clock.advance(20);
    expect(queue.length).toBe(0);
  });

  it('adds each key at its own time (AddTwoFireEarly)', async () => {
    queue.addAfter('foo', 1000);
    queue.addAfter('bar', 50);
    await clock.advance(60);
    expect(await take()).toBe('bar');
    queue.addAfter('baz', 2000);
    await clock.advance(1000);
    expect(await take()).toBe('foo');
    await clock.advance(2000);
    expect(await take()).toBe('baz');
  });

  it('adds those that fall due together in the order of their times (CopyShifting)', async () => {
    queue.addAfter('foo', 1000);
    queue.addAfter('bar', 500);
    queue.addAfter('baz', 250);
    await clock.advance(2000);
    expect([await take(), await take(), await take()]).toEqual(['baz', 'bar', 'foo']);
  });

  it('adds at once without a delay', () => {
    queue.addAfter('foo', 0);
    queue.addAfter('bar', -5);
    expect(queue.length).toBe(2);
    expect(clock.pending).toBe(0);
  });

  it('needs one timer for any number of keys', async () => {
    for (let i = 0; i < 1000; i++) queue.addAfter(`key-${i}`, 1000 - i);
    expect(clock.pending).toBe(1);
    expect(clock.nextInMs).toBe(1);
    await clock.advance(1000);
    expect(queue.length).toBe(1000);
    expect(clock.pending).toBe(0);
  });

  it('brings a key back that falls due while it is worked on', async () => {
    queue.add('foo');
    await queue.get(never);
    queue.addAfter('foo', 10);
    await clock.advance(20);
    expect(queue.length).toBe(0);
    queue.done('foo');
    expect(queue.length).toBe(1);
  });

  it('waits on when a timer fires early', async () => {
    const hasty: Clock = {
      now: () => clock.now(),
      after: (delayMs, callback) => clock.after(Math.min(delayMs, 100), callback),
    };
    queue = queueOn(hasty);
    queue.addAfter('foo', 250);
    await clock.advance(249);
    expect(queue.length).toBe(0);
    await clock.advance(1);
    expect(queue.length).toBe(1);
  });
});

describe('addRateLimited', () => {
  it('doubles the wait of each key until it is forgotten (RateLimitingQueue)', async () => {
    const waits: (number | undefined)[] = [];
    const fail = async (key: string): Promise<void> => {
      queue.addRateLimited(key);
      waits.push(clock.nextInMs);
      await clock.advance(clock.nextInMs ?? 0);
      expect(await take()).toBe(key);
    };
    await fail('one');
    await fail('one');
    await fail('one');
    expect(queue.numRequeues('one')).toBe(3);
    await fail('two');
    await fail('two');
    queue.forget('one');
    expect(queue.numRequeues('one')).toBe(0);
    await fail('one');
    expect(waits).toEqual([1, 2, 4, 1, 2, 1]);
  });

  it('does not take a key out of the queue when it is forgotten', async () => {
    queue.addRateLimited('foo');
    queue.forget('foo');
    await clock.advance(1);
    expect(await take()).toBe('foo');
  });
});

describe('the defaults', () => {
  it('are those of client-go: from 5 ms up to 1000 s', () => {
    queue = new WorkQueue({ name: 'test', clock, metrics: registerQueueMetrics(new Registry()) });
    queue.addRateLimited('foo');
    expect(clock.nextInMs).toBe(5);
    for (let i = 0; i < 40; i++) queue.addRateLimited('bar');
    queue.addRateLimited('bar');
    expect(queue.numRequeues('bar')).toBe(41);
  });
});
