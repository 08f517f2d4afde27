/** Answers without the controller: reads the cluster once and asks new providers, which open and write nothing. */
import type { Registry } from 'prom-client';
import type { Config } from '../../config/settings.ts';
import { BallastError } from '../../errors.ts';
import type { KubeClient } from '../../kube/client.ts';
import { listPages } from '../../kube/listpages.ts';
import { ENDPOINT_SLICES, NODES, SERVICES } from '../../kube/resources.ts';
import { trimEndpointSlice, trimNode, trimService } from '../../kube/trim.ts';
import type { Provider } from '../../loadbalancer/provider.ts';
import { systemClock } from '../../runtime/clock.ts';
import { claimRules } from '../../service/config.ts';
import { ServiceController } from '../../service/controller.ts';
import { registerServiceMetrics } from '../../service/metrics.ts';
import type { Stores } from '../../service/ports.ts';
import type { Log } from '../../telemetry/log.ts';
import { serviceConfig } from '../service-config.ts';
import { createStores } from '../stores.ts';
import { Inquiry } from './inquiry.ts';

export interface FreshInput {
  readonly client: KubeClient;
  readonly config: Config;
  readonly providers: readonly Provider[];
  readonly log: Log;
  readonly registry: Registry;
  readonly signal: AbortSignal;
}

/** What a controller would answer that has just started. Needs permission to read, and nothing else. */
export async function freshInquiry(input: FreshInput): Promise<Inquiry> {
  const { client, config, providers, log, registry, signal } = input;
  const stores = createStores(log);
  await readCluster(client, stores, signal);
  const service = serviceConfig(config);
  const rules = claimRules(service, providers);
  const metrics = registerServiceMetrics(registry);
  const never = (): never => {
    throw new BallastError('NotLeader', 'This command only reads.');
  };
  const controllers = providers.map(
    (provider) =>
      new ServiceController({
        provider,
        rules,
        stores,
        writer: { patch: never },
        events: { record: never, recordNode: never },
        fence: never,
        config: service,
        clock: systemClock,
        log,
        metrics,
      }),
  );
  for (const controller of controllers) {
    await controller.open(signal);
    // The stores change no more, and nothing waits for them.
    controller.close();
  }
  const { allowedGroups } = config;
  return new Inquiry({ controllers, stores, rules, allowedGroups, leadership: () => undefined });
}

async function readCluster(client: KubeClient, stores: Stores, signal: AbortSignal): Promise<void> {
  const options = { client, pageSize: 500, signal };
  const [services, nodes, slices] = await Promise.all([
    listPages({ ...options, resource: SERVICES, trim: trimService }),
    listPages({ ...options, resource: NODES, trim: trimNode }),
    listPages({ ...options, resource: ENDPOINT_SLICES, trim: trimEndpointSlice }),
  ]);
  stores.services.replace(services.objects);
  stores.nodes.replace(nodes.objects);
  stores.endpointSlices.replace(slices.objects);
}
