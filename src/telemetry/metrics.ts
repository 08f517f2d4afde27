import { Gauge, Registry, collectDefaultMetrics } from 'prom-client';

export interface BuildInfo {
  /** The version of Ballast. */
  readonly version: string;
}

/**
 * The registry of this process, with the usual `process_*` and `nodejs_*` metrics under their standard names and
 * `ballast_build_info`. Each part registers its own metrics in it, once.
 */
export function createMetrics({ version }: BuildInfo): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'ballast_build_info',
    help: 'Always 1; the labels say what is running',
    labelNames: ['version', 'node_version'],
    registers: [registry],
  }).set({ version, node_version: process.version }, 1);
  return registry;
}
