import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { registerQueueMetrics, WORK_BUCKETS, type QueueMetrics } from './queuemetrics.ts';

/** The metrics of all controllers and of their queues. */
export interface ControllerMetrics {
  readonly queue: QueueMetrics;
  readonly reconciles: Counter<'controller' | 'outcome'>;
  readonly errors: Counter<'controller' | 'code'>;
  readonly duration: Histogram<'controller'>;
  readonly activeWorkers: Gauge<'controller'>;
}

/** Registers the metrics; once per registry, for all its controllers. */
export function registerControllerMetrics(registry: Registry): ControllerMetrics {
  const registers = [registry];
  return {
    queue: registerQueueMetrics(registry),
    reconciles: new Counter({
      name: 'ballast_reconcile_total',
      help: 'Reconciles by controller and outcome',
      labelNames: ['controller', 'outcome'],
      registers,
    }),
    errors: new Counter({
      name: 'ballast_reconcile_errors_total',
      help: 'Failed reconciles by controller and error code',
      labelNames: ['controller', 'code'],
      registers,
    }),
    duration: new Histogram({
      name: 'ballast_reconcile_duration_seconds',
      help: 'How long a reconcile takes, in seconds',
      labelNames: ['controller'],
      registers,
      buckets: [...WORK_BUCKETS],
    }),
    activeWorkers: new Gauge({
      name: 'ballast_reconcile_active_workers',
      help: 'Workers of the controller that reconcile at the moment',
      labelNames: ['controller'],
      registers,
    }),
  };
}
