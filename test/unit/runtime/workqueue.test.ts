import { Registry } from 'prom-client';
import { beforeEach, describe, expect, it } from 'vitest';
import { registerQueueMetrics } from '#src/runtime/queuemetrics';
import { WorkQueue } from '#src/runtime/workqueue';
import { FakeClock, settle } from '#test/fakes/clock';

const never = new AbortController().signal;

let clock: FakeClock;
let queue: WorkQueue<string>;

beforeEach(() => {
  clock = new FakeClock();
  const metrics = registerQueueMetrics(new Registry());
  queue = new WorkQueue({ name: 'test', clock, metrics, backoff: { initialMs: 1, maxMs: 1000 } });
});

/** Whether the promise has come to an end by now. */
async function hasEnded(promise: Promise<unknown>): Promise<boolean> {
  let ended = false;
  void promise.finally(() => {
    ended = true;
  });
  await settle();
  return ended;
}

/** Whether a `get` would wait; the wait is taken back. */
async function isEmpty(): Promise<boolean> {
  const abort = new AbortController();
  const getting = queue.get(abort.signal);
  const waits = !(await hasEnded(getting));
  abort.abort();
  return waits && (await getting) === undefined;
}

describe('adding and taking', () => {
  it.each(['shutDown', 'shutDownWithDrain'] as const)(
    'serves many producers and consumers until %s (Basic)',
    async (end) => {
      const producers = 50;
      const taken: string[] = [];
      const running = new Set<string>();
      const consumers = Array.from({ length: 10 }, async () => {
        for (let key = await queue.get(never); key !== undefined; key = await queue.get(never)) {
          expect(running).not.toContain(key);
          running.add(key);
          taken.push(key);
          await settle();
          running.delete(key);
          queue.done(key);
        }
      });
      for (let round = 0; round < 10; round++) {
        for (let i = 0; i < producers; i++) queue.add(String(i));
        await settle();
      }
      const ended = queue[end]();
      queue.add('added after shutdown!');
      await Promise.all([...consumers, ended]);
      expect(new Set(taken).size).toBe(producers);
      expect(taken).not.toContain('added after shutdown!');
      expect(queue.length).toBe(0);
    },
  );

  it('works again on what is added while it is worked on (AddWhileProcessing)', async () => {
    const runs = new Map<string, number>();
    const consumers = Array.from({ length: 10 }, async () => {
      for (let key = await queue.get(never); key !== undefined; key = await queue.get(never)) {
        const count = (runs.get(key) ?? 0) + 1;
        runs.set(key, count);
        if (count < 3) queue.add(key);
        await settle();
        queue.done(key);
      }
    });
    for (let i = 0; i < 50; i++) queue.add(String(i));
    for (let i = 0; i < 100; i++) await settle();
    await queue.shutDownWithDrain();
    await Promise.all(consumers);
    expect([...runs.values()]).toEqual(Array.from({ length: 50 }, () => 3));
  });

  it('hands out keys in the order in which they came', async () => {
    for (const key of ['c', 'a', 'b', 'a']) queue.add(key);
    expect([await queue.get(never), await queue.get(never), await queue.get(never)]).toEqual(['c', 'a', 'b']);
  });

  it('serves those who wait in the order in which they came', async () => {
    const first = queue.get(never);
    const second = queue.get(never);
    queue.add('a');
    queue.add('b');
    expect([await first, await second]).toEqual(['a', 'b']);
  });

  it('counts what could be taken, duplicates once (Len)', async () => {
    queue.add('foo');
    expect(queue.length).toBe(1);
    queue.add('bar');
    expect(queue.length).toBe(2);
    queue.add('foo');
    expect(queue.length).toBe(2);
    await queue.get(never);
    expect(queue.length).toBe(1);
  });

  it('puts a key back that was added while it was worked on, after done only (Reinsert)', async () => {
    queue.add('foo');
    expect(await queue.get(never)).toBe('foo');
    queue.add('foo');
    expect(await isEmpty()).toBe(true);
    queue.done('foo');
    expect(await queue.get(never)).toBe('foo');
    queue.done('foo');
    expect(queue.length).toBe(0);
  });

  it('works once on a key added twice (Collapse)', async () => {
    queue.add('bar');
    queue.add('bar');
    expect(await queue.get(never)).toBe('bar');
    queue.done('bar');
    expect(await isEmpty()).toBe(true);
  });

  it('works once more on a key added many times while it was worked on (CollapseWhileProcessing)', async () => {
    queue.add('foo');
    await queue.get(never);
    for (let i = 0; i < 100; i++) queue.add('foo');
    queue.done('foo');
    expect(await queue.get(never)).toBe('foo');
    queue.done('foo');
    expect(await isEmpty()).toBe(true);
  });

  it('gives nobody a key twice at once, also not to one who waits already', async () => {
    queue.add('foo');
    await queue.get(never);
    const second = queue.get(never);
    queue.add('foo');
    expect(await hasEnded(second)).toBe(false);
    queue.done('foo');
    expect(await second).toBe('foo');
  });

  it('refuses done for a key that nobody took', () => {
    expect(() => queue.done('foo')).toThrow('queue test: done(foo) without a get that returned it');
  });
});

describe('the signal of get', () => {
  it('ends the wait and leaves the next key to others', async () => {
    const abort = new AbortController();
    const ended = queue.get(abort.signal);
    const waiting = queue.get(never);
    abort.abort();
    expect(await ended).toBeUndefined();
    queue.add('foo');
    expect(await waiting).toBe('foo');
  });

  it('takes nothing when it has aborted before', async () => {
    queue.add('foo');
    expect(await queue.get(AbortSignal.abort())).toBeUndefined();
    expect(queue.length).toBe(1);
  });
});

describe('shutting down', () => {
  it('waits for those that are worked on (QueueDrainageUsingShutDownWithDrain)', async () => {
    queue.add('foo');
    queue.add('bar');
    await queue.get(never);
    await queue.get(never);
    const drained = queue.shutDownWithDrain();
    expect(await queue.get(never)).toBeUndefined();
    queue.done('foo');
    expect(await hasEnded(drained)).toBe(false);
    queue.done('bar');
    expect(await hasEnded(drained)).toBe(true);
  });

  it('waits for those that are added again while worked on (QueueDrainageUsingShutDownWithDrainWithDirtyItem)', async () => {
    queue.add('foo');
    await queue.get(never);
    queue.add('foo');
    const drained = queue.shutDownWithDrain();
    expect(await queue.get(never)).toBeUndefined();
    queue.done('foo');
    expect(await hasEnded(drained)).toBe(false);
    expect(await queue.get(never)).toBe('foo');
    queue.done('foo');
    expect(await queue.get(never)).toBeUndefined();
    expect(await hasEnded(drained)).toBe(true);
  });

  it('waits for those that nobody has taken yet', async () => {
    queue.add('foo');
    const drained = queue.shutDownWithDrain();
    expect(await hasEnded(drained)).toBe(false);
    expect(await queue.get(never)).toBe('foo');
    queue.done('foo');
    expect(await hasEnded(drained)).toBe(true);
  });

  it('does not wait without drain (NoQueueDrainageUsingShutDown)', async () => {
    queue.add('foo');
    await queue.get(never);
    queue.shutDown();
    expect(await queue.get(never)).toBeUndefined();
  });

  it('can be forced while it drains (ForceQueueShutdownUsingShutDown)', async () => {
    queue.add('foo');
    await queue.get(never);
    const drained = queue.shutDownWithDrain();
    expect(await hasEnded(drained)).toBe(false);
    queue.shutDown();
    expect(await hasEnded(drained)).toBe(true);
  });

  it('sends those home who wait', async () => {
    const waiting = [queue.get(never), queue.get(never)];
    queue.shutDown();
    expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
  });

  it('hands out what was added before', async () => {
    queue.add('foo');
    queue.shutDown();
    queue.add('bar');
    expect(await queue.get(never)).toBe('foo');
    expect(await queue.get(never)).toBeUndefined();
  });

  it('drops delayed keys and leaves no timer behind', async () => {
    queue.addAfter('foo', 10);
    queue.shutDown();
    queue.addAfter('bar', 10);
    queue.addAfter('baz', 0);
    expect(clock.pending).toBe(0);
    await clock.advance(1000);
    expect(queue.length).toBe(0);
  });
});
