import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What the gauges ask of a live queue whenever they are collected. */
export interface QueueState {
  readonly name: string;
  /** Keys that need work, waiting or added again while they run. */
  depth(): number;
  /** For how many seconds each running key has been running. */
  runningSeconds(): readonly number[];
}

/** The work queues' metrics under client-go's names, each with the label `name` of the queue. */
export interface QueueMetrics {
  readonly adds: Counter<'name'>;
  readonly retries: Counter<'name'>;
  readonly queueDuration: Histogram<'name'>;
  readonly workDuration: Histogram<'name'>;
  /** Includes the queue in the gauges until the returned function is called. */
  watch(queue: QueueState): () => void;
}

/** Seconds: from a look into the store to waiting for a cloud. client-go's own buckets end at 10 s. */
export const WORK_BUCKETS: readonly number[] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600];

/** Registers the metrics; once per registry, for all its queues. */
export function registerQueueMetrics(registry: Registry): QueueMetrics {
  const queues = new Set<QueueState>();
  const registers = [registry];
  const labelNames = ['name'] as const;
  const buckets = [...WORK_BUCKETS];
  const gauge = (name: string, help: string, read: (queue: QueueState) => number): void => {
    void new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const queue of queues) this.set({ name: queue.name }, read(queue));
      },
    });
  };
  gauge('workqueue_depth', 'Current depth of workqueue', (queue) => queue.depth());
  gauge(
    'workqueue_unfinished_work_seconds',
    'Seconds of work in progress that work_duration has not observed yet; large values indicate stuck workers',
    (queue) => queue.runningSeconds().reduce((sum, seconds) => sum + seconds, 0),
  );
  gauge(
    'workqueue_longest_running_processor_seconds',
    'How many seconds the longest running processor of the workqueue has been running',
    (queue) => Math.max(0, ...queue.runningSeconds()),
  );
  return {
    adds: new Counter({
      name: 'workqueue_adds_total',
      help: 'Total number of adds handled by workqueue',
      labelNames,
      registers,
    }),
    retries: new Counter({
      name: 'workqueue_retries_total',
      help: 'Total number of delayed adds handled by workqueue, after a failure or to look again',
      labelNames,
      registers,
    }),
    queueDuration: new Histogram({
      name: 'workqueue_queue_duration_seconds',
      help: 'How long in seconds an item stays in workqueue before being requested',
      labelNames,
      registers,
      buckets,
    }),
    workDuration: new Histogram({
      name: 'workqueue_work_duration_seconds',
      help: 'How long in seconds processing an item from workqueue takes',
      labelNames,
      registers,
      buckets,
    }),
    watch(queue) {
      queues.add(queue);
      return () => queues.delete(queue);
    },
  };
}
