import { Counter, Gauge, type Registry } from 'prom-client';
import { registerControllerMetrics, type ControllerMetrics } from '../runtime/controllermetrics.ts';

/** What the gauges read when they are collected. */
export interface ProviderState {
  readonly provider: string;
  /** How many load balancers exist outside. */
  readonly loadBalancers: () => number;
  /** How many vanished nodes are kept. */
  readonly heldNodes: () => number;
}

/** The metrics of the Service controllers of all providers. */
export interface ServiceMetrics {
  readonly controller: ControllerMetrics;
  readonly steps: Counter<'provider' | 'kind' | 'outcome'>;
  readonly writes: Counter<'provider' | 'purpose'>;
  /** Includes a provider in the gauges until the returned function is called. */
  watch(state: ProviderState): () => void;
}

/** Registers the metrics; once per registry, for all providers. */
export function registerServiceMetrics(registry: Registry): ServiceMetrics {
  const registers = [registry];
  const states = new Set<ProviderState>();
  void new Gauge({
    name: 'ballast_load_balancers',
    help: 'Load balancers that exist outside the cluster, by provider',
    labelNames: ['provider'],
    registers,
    collect() {
      this.reset();
      for (const { provider, loadBalancers } of states) this.set({ provider }, loadBalancers());
    },
  });
  void new Gauge({
    name: 'ballast_node_guard_active',
    help: 'Whether nodes that vanished at once are kept as targets (1) or not (0), by provider',
    labelNames: ['provider'],
    registers,
    collect() {
      this.reset();
      for (const { provider, heldNodes } of states) this.set({ provider }, heldNodes() > 0 ? 1 : 0);
    },
  });
  void new Gauge({
    name: 'ballast_nodes_held',
    help: 'Nodes that vanished and are kept as targets, by provider',
    labelNames: ['provider'],
    registers,
    collect() {
      this.reset();
      for (const { provider, heldNodes } of states) this.set({ provider }, heldNodes());
    },
  });
  return {
    controller: registerControllerMetrics(registry),
    steps: new Counter({
      name: 'ballast_plan_steps_total',
      help: 'Steps of plans by provider, kind and outcome (applied, failed, skipped)',
      labelNames: ['provider', 'kind', 'outcome'],
      registers,
    }),
    writes: new Counter({
      name: 'ballast_service_writes_total',
      help: 'Writes to Services by provider and purpose (prepare, status, release)',
      labelNames: ['provider', 'purpose'],
      registers,
    }),
    watch(state) {
      states.add(state);
      return () => states.delete(state);
    },
  };
}
