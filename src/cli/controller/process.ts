/** Puts the parts of the controller process together. */
import { hostname, networkInterfaces } from 'node:os';
import type { Registry } from 'prom-client';
import type { Config } from '../../config/settings.ts';
import type { KubeClient } from '../../kube/client.ts';
import { EventRecorder } from '../../kube/events.ts';
import { electorIdentity, LeaderElector } from '../../kube/leaderelection.ts';
import { leaseApi } from '../../kube/leaseapi.ts';
import { TokenAuthorizer } from '../../kube/tokenauthorizer.ts';
import type { Provider } from '../../loadbalancer/provider.ts';
import { systemClock } from '../../runtime/clock.ts';
import { Manager, type Component } from '../../runtime/manager.ts';
import { untilAborted } from '../../runtime/wait.ts';
import { claimRules } from '../../service/config.ts';
import { ServiceController } from '../../service/controller.ts';
import { createServiceWriter } from '../../service/kubewriter.ts';
import { registerServiceMetrics } from '../../service/metrics.ts';
import type { Leadership } from '../../service/leadership.ts';
import { HealthServer } from '../../telemetry/health.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Cluster } from '../cluster.ts';
import { Inquiry } from '../inquiry/inquiry.ts';
import { addInquiryRoutes } from '../inquiry/routes.ts';
import { serviceConfig } from '../service-config.ts';
import { watchStores } from '../stores.ts';
import { serviceEvents } from './events.ts';
import { standbyOf } from './standby.ts';

export interface ProcessInput {
  readonly config: Config;
  readonly cluster: Cluster;
  readonly providers: readonly Provider[];
  readonly log: Log;
  readonly registry: Registry;
}

/**
 * Runs the controller until the signal aborts and everything has ended. Rejects when a part fails, when the Lease is
 * lost, or when something does not end in time.
 */
export async function runProcess(input: ProcessInput, signal: AbortSignal): Promise<void> {
  const { config, cluster, log } = input;
  const client = cluster.connect();
  // Its own connections: a renewal never waits behind a list of ten thousand Services.
  const leaseClient = cluster.connect();
  const elector =
    config.leaderElection &&
    new LeaderElector({
      ...config.leaderElection,
      lease: leaseApi(leaseClient, config.leaderElection),
      identity: electorIdentity(hostname()),
      log,
      metrics: cluster.metrics,
      // What lives outside the process may be in the way of another leader; what is in it is not.
      outlivesLease: input.providers.every(({ capabilities }) => capabilities.inProcess),
      onResume: () => {
        for (const controller of controllers) controller.resync();
      },
    });
  const fence = (): void => elector?.fence();
  const recorder = new EventRecorder({ client, log, metrics: cluster.metrics, instance: hostname(), fence });
  const watched = watchStores(client, log, cluster);
  const service = serviceConfig(config);
  const rules = claimRules(service, input.providers);
  const metrics = registerServiceMetrics(input.registry);
  const controllers = input.providers.map(
    (provider) =>
      new ServiceController({
        provider,
        rules,
        stores: watched.stores,
        writer: createServiceWriter(client),
        events: serviceEvents(recorder),
        fence,
        config: service,
        clock: systemClock,
        log,
        metrics,
      }),
  );
  cluster.availability.onBack(() => {
    log.info({ server: cluster.access.server }, 'the API server answers again');
    for (const controller of controllers) controller.retryFailed();
  });
  const manager = new Manager({
    clock: systemClock,
    log,
    stopTimeoutMs: config.shutdownTimeoutMs,
    ...(elector && { leadership: elector }),
  });
  const health = config.metricsAddress && healthServer(input, client, manager);
  if (health) {
    const { allowedGroups } = config;
    const leadership = (): Leadership | undefined => leadershipOf(elector);
    addInquiryRoutes(health, new Inquiry({ controllers, stores: watched.stores, rules, allowedGroups, leadership }));
  }
  const standbys = input.providers.map((provider) => elector && standbyOf(provider, elector));
  // Ended in the reverse order: work first, then what it needs, and the Lease last.
  const components: readonly Component[] = [
    ...(elector ? [electionComponent(elector)] : []),
    { name: 'events', start: (end) => recorder.run(end) },
    ...watched.components,
    ...(health ? [health] : []),
    ...standbys.flatMap((standby) => (standby ? [standby.component] : [])),
    ...controllers.map((controller, index) =>
      serviceComponent(controller, Promise.all([watched.synced, standbys[index]?.ended])),
    ),
  ];
  for (const component of components) manager.add(component);
  try {
    await manager.run(signal);
  } finally {
    await Promise.all([client.close(), leaseClient.close()]);
  }
}

function electionComponent(elector: LeaderElector): Component {
  return {
    name: 'leader-election',
    keepsLeadership: true,
    start: (end) => elector.run(end),
    ready() {
      const { fencedForMs } = elector;
      if (fencedForMs === undefined) return true;
      const seconds = Math.round(fencedForMs / 1_000);
      return `fenced for ${seconds} s: the Lease could not be renewed; what was served before still is, nothing is changed`;
    },
  };
}

/** Undefined for a process that follows: it cannot say who leads. */
function leadershipOf(elector: LeaderElector | undefined): Leadership | undefined {
  if (elector?.fencedForMs !== undefined) return { kind: 'fenced' };
  return elector?.isLeader === false ? undefined : { kind: 'self' };
}

function serviceComponent(controller: ServiceController, prepared: Promise<unknown>): Component {
  // Whoever leads waits for it; a process that ends before it leads does not.
  prepared.catch(() => {});
  return {
    name: `services-${controller.provider.name}`,
    needsLeadership: true,
    live: () => controller.live(),
    async start(signal) {
      await Promise.race([prepared, untilAborted(signal)]);
      if (!signal.aborted) await controller.start(signal);
    },
  };
}

function healthServer({ config, log, registry }: ProcessInput, client: KubeClient, manager: Manager): HealthServer {
  const { host = everyAddress(), port = 0 } = config.metricsAddress ?? {};
  const { metricsTls: tls, metricsAuth } = config;
  return new HealthServer({
    host,
    port,
    log,
    registry,
    tls,
    authorize: metricsAuth === 'token' ? new TokenAuthorizer({ client }).authorize : undefined,
    live: () => manager.liveChecks(),
    ready: () => manager.checks(),
  });
}

/** `::` takes IPv4 as well, but does not exist where IPv6 is off. */
function everyAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return addresses.some(({ family }) => family === 'IPv6') ? '::' : '0.0.0.0';
}
