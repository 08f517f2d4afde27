import type { Registry } from 'prom-client';
import type { Config } from '../config/settings.ts';
import type { ClusterAccess } from '../kube/access.ts';
import { Availability } from '../kube/availability.ts';
import { KubeClient } from '../kube/client.ts';
import { loadKubeConfig } from '../kube/config.ts';
import { registerKubeMetrics, type KubeMetrics } from '../kube/metrics.ts';
import { systemClock } from '../runtime/clock.ts';
import type { CliContext } from './context.ts';

/** The way to one cluster. */
export interface Cluster {
  readonly access: ClusterAccess;
  readonly metrics: KubeMetrics;
  /** As all these clients find it. */
  readonly availability: Availability;
  /** A client with connections of its own; whoever asks for one closes it. */
  readonly connect: () => KubeClient;
}

/**
 * Finds the cluster that the configuration means; opens nothing yet.
 * @throws BallastError `InvalidConfig`
 */
export async function findCluster(
  { kubeconfig, context: contextName }: Pick<Config, 'kubeconfig' | 'context'>,
  { env, version }: Pick<CliContext, 'env' | 'version'>,
  registry: Registry,
): Promise<Cluster> {
  const access = await loadKubeConfig({ path: kubeconfig, context: contextName, env });
  const metrics = registerKubeMetrics(registry);
  const availability = new Availability({ clock: systemClock });
  const parts = { access, metrics, availability, version };
  return { access, metrics, availability, connect: () => new KubeClient(parts) };
}
