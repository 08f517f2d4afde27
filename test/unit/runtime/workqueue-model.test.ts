import * as fc from 'fast-check';
import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { registerQueueMetrics } from '#src/runtime/queuemetrics';
import { WorkQueue } from '#src/runtime/workqueue';
import { FakeClock } from '#test/fakes/clock';

const never = new AbortController().signal;
const key = fc.constantFrom('a', 'b', 'c', 'd');

const operation = fc.oneof(
  fc.record({ do: fc.constant('add' as const), key }),
  fc.record({ do: fc.constant('addAfter' as const), key, ms: fc.integer({ min: -1, max: 20 }) }),
  fc.record({ do: fc.constant('addRateLimited' as const), key }),
  fc.record({ do: fc.constant('forget' as const), key }),
  fc.record({ do: fc.constant('take' as const) }),
  fc.record({ do: fc.constant('done' as const), key }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 30 }) }),
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** The queue as plainly as it can be said. */
class Model {
  now = 0;
  order: string[] = [];
  running = new Set<string>();
  again = new Set<string>();
  delayed: { key: string; at: number }[] = [];
  failures = new Map<string, number>();

  add(key: string): void {
    if (this.running.has(key)) this.again.add(key);
    else if (!this.order.includes(key)) this.order.push(key);
  }

  addAfter(key: string, ms: number): void {
    const known = this.delayed.find((entry) => entry.key === key);
    if (ms <= 0) this.add(key);
    else if (known) known.at = Math.min(known.at, this.now + ms);
    else this.delayed.push({ key, at: this.now + ms });
  }

  addRateLimited(key: string): void {
    const failures = this.failures.get(key) ?? 0;
    this.failures.set(key, failures + 1);
    this.addAfter(key, Math.min(16, 2 ** failures));
  }

  take(): string | undefined {
    const key = this.order.shift();
    if (key !== undefined) this.running.add(key);
    return key;
  }

  done(key: string): void {
    this.running.delete(key);
    if (this.again.delete(key)) this.order.push(key);
  }

  advance(ms: number): void {
    this.now += ms;
    const due = this.delayed.filter(({ at }) => at <= this.now).toSorted((a, b) => a.at - b.at);
    this.delayed = this.delayed.filter(({ at }) => at > this.now);
    for (const { key } of due) this.add(key);
  }
}

/** Does the operation on both; for `take`, answers what each handed out. */
async function run(operation: Operation, queue: WorkQueue<string>, model: Model, clock: FakeClock): Promise<unknown[]> {
  switch (operation.do) {
    case 'add':
      return [queue.add(operation.key), model.add(operation.key)];
    case 'addAfter':
      return [queue.addAfter(operation.key, operation.ms), model.addAfter(operation.key, operation.ms)];
    case 'addRateLimited':
      return [queue.addRateLimited(operation.key), model.addRateLimited(operation.key)];
    case 'forget':
      return [queue.forget(operation.key), void model.failures.delete(operation.key)];
    case 'take':
      return [queue.length === 0 ? undefined : await queue.get(never), model.take()];
    case 'done':
      return model.running.has(operation.key) ? [queue.done(operation.key), model.done(operation.key)] : [];
    case 'advance':
      break;
  }
  return [await clock.advance(operation.ms), model.advance(operation.ms)];
}

it('does what the plain model does, whatever the order of calls', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 80 }), async (operations) => {
      const clock = new FakeClock();
      const metrics = registerQueueMetrics(new Registry());
      const queue = new WorkQueue({ name: 'test', clock, metrics, backoff: { initialMs: 1, maxMs: 16 } });
      const model = new Model();
      for (const operation of operations) {
        const [taken, expected] = await run(operation, queue, model, clock);
        expect(taken).toBe(expected);
        expect(queue.length).toBe(model.order.length);
        for (const [key, failures] of model.failures) expect(queue.numRequeues(key)).toBe(failures);
        expect(clock.pending).toBe(model.delayed.length > 0 ? 1 : 0);
      }
    }),
    { numRuns: 300 },
  );
});

it('never works on a key twice at once and never loses an add', async () => {
  const add = fc.record({
    key,
    atMs: fc.integer({ min: 0, max: 100 }),
    afterMs: fc.integer({ min: 0, max: 20 }),
  });
  const options = fc.record({
    adds: fc.array(add, { minLength: 1, maxLength: 40 }),
    workers: fc.integer({ min: 1, max: 5 }),
    workMs: fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 10 }),
  });
  await fc.assert(
    fc.asyncProperty(options, async ({ adds, workers, workMs }) => {
      const clock = new FakeClock();
      const queue = new WorkQueue({ name: 'test', clock, metrics: registerQueueMetrics(new Registry()) });
      const running = new Set<string>();
      const events: { kind: 'add' | 'start'; key: string }[] = [];
      const overlaps: string[] = [];
      const working = Array.from({ length: workers }, async () => {
        for (let key = await queue.get(never); key !== undefined; key = await queue.get(never)) {
          if (running.has(key)) overlaps.push(key);
          running.add(key);
          events.push({ kind: 'start', key });
          const ms = workMs[events.length % workMs.length] ?? 0;
          await new Promise<void>((resolve) => {
            clock.after(ms, resolve);
          });
          running.delete(key);
          queue.done(key);
        }
      });
      for (const { key, atMs, afterMs } of adds) {
        clock.after(atMs, () => {
          events.push({ kind: 'add', key });
          queue.addAfter(key, afterMs);
        });
      }
      await clock.advance(10_000);
      queue.shutDown();
      await Promise.all(working);
      const lost = events.filter(
        ({ kind, key }, i) => kind === 'add' && !events.slice(i).some((e) => e.kind === 'start' && e.key === key),
      );
      expect(lost).toEqual([]);
      expect(overlaps).toEqual([]);
    }),
    { numRuns: 100 },
  );
});
