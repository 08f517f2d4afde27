import { Registry } from 'prom-client';
import { beforeEach, describe, expect, it } from 'vitest';
import { registerQueueMetrics, type QueueMetrics } from '#src/runtime/queuemetrics';
import { WorkQueue } from '#src/runtime/workqueue';
import { FakeClock } from '#test/fakes/clock';

const never = new AbortController().signal;

let clock: FakeClock;
let registry: Registry;
let metrics: QueueMetrics;
let queue: WorkQueue<string>;

beforeEach(() => {
  clock = new FakeClock();
  registry = new Registry();
  metrics = registerQueueMetrics(registry);
  queue = new WorkQueue({ name: 'service', clock, metrics });
});

/** The value of one line of the exposition, for example `workqueue_depth{name="service"}`. */
async function value(line: string): Promise<number | undefined> {
  const found = (await registry.metrics()).split('\n').find((text) => text.startsWith(`${line} `));
  return found === undefined ? undefined : Number(found.slice(line.length));
}

describe('the metrics of a work queue', () => {
  it('follow a key through the queue (Metrics)', async () => {
    queue.add('foo');
    queue.add('foo');
    expect(await value('workqueue_adds_total{name="service"}')).toBe(1);
    expect(await value('workqueue_depth{name="service"}')).toBe(1);

    await clock.advance(50);
    await queue.get(never);
    expect(await value('workqueue_depth{name="service"}')).toBe(0);
    expect(await value('workqueue_queue_duration_seconds_sum{name="service"}')).toBeCloseTo(0.05);

    queue.add('foo');
    queue.add('foo');
    expect(await value('workqueue_adds_total{name="service"}')).toBe(2);
    expect(await value('workqueue_depth{name="service"}')).toBe(1);

    await clock.advance(25);
    queue.done('foo');
    expect(await value('workqueue_work_duration_seconds_sum{name="service"}')).toBeCloseTo(0.025);
    expect(await value('workqueue_work_duration_seconds_count{name="service"}')).toBe(1);

    await queue.get(never);
    expect(await value('workqueue_queue_duration_seconds_sum{name="service"}')).toBeCloseTo(0.075);
    expect(await value('workqueue_queue_duration_seconds_count{name="service"}')).toBe(2);
  });

  it('show work that does not end', async () => {
    queue.add('foo');
    await queue.get(never);
    await clock.advance(1000);
    queue.add('bar');
    await queue.get(never);
    await clock.advance(500);
    expect(await value('workqueue_unfinished_work_seconds{name="service"}')).toBeCloseTo(2);
    expect(await value('workqueue_longest_running_processor_seconds{name="service"}')).toBeCloseTo(1.5);
    queue.done('foo');
    expect(await value('workqueue_longest_running_processor_seconds{name="service"}')).toBeCloseTo(0.5);
  });

  it('count delayed adds as retries', async () => {
    expect(await value('workqueue_retries_total{name="service"}')).toBe(0);
    queue.addRateLimited('foo');
    queue.addAfter('bar', 10);
    expect(await value('workqueue_retries_total{name="service"}')).toBe(2);
  });

  it('keep queues apart by name and let a queue go that shut down (MetricShutdown)', async () => {
    const other = new WorkQueue({ name: 'other', clock, metrics });
    queue.add('a');
    other.add('b');
    other.add('c');
    expect(await value('workqueue_depth{name="service"}')).toBe(1);
    expect(await value('workqueue_depth{name="other"}')).toBe(2);
    other.shutDown();
    expect(await value('workqueue_depth{name="other"}')).toBeUndefined();
    expect(await value('workqueue_depth{name="service"}')).toBe(1);
  });
});
