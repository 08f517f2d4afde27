/** Which Service, in which namespace, and which cluster: what `plan` and `explain` have in common. */
import { loadConfig, type LoadedConfig } from '../../config.ts';
import type { Raw } from '../../config/sources.ts';
import { BallastError, classify, type ErrorCode } from '../../errors.ts';
import type { KubeClient } from '../../kube/client.ts';
import { SERVICES } from '../../kube/resources.ts';
import type { Provider } from '../../loadbalancer/provider.ts';
import { createLog } from '../../telemetry/log.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { findCluster } from '../cluster.ts';
import { providerSettings, type CliContext } from '../context.ts';
import { buildProviders } from '../providers.ts';
import { freshInquiry } from './fresh.ts';
import type { Inquiry } from './inquiry.ts';

/** A controller that has just started, as far as asking it goes. */
export interface Fresh {
  readonly inquiry: Inquiry;
  readonly providers: readonly Provider[];
}

/** The same for every question of one run. */
export interface Target extends AsyncDisposable {
  readonly loaded: LoadedConfig;
  readonly client: KubeClient;
  /** The namespace that the kubeconfig's context names, or `default`. */
  readonly namespace: string;
  /** UID of `default/kubernetes`; undefined when it may not or cannot be read now. */
  readonly cluster: () => Promise<string | undefined>;
  /** What a controller would say that has just started. */
  readonly fresh: () => Promise<Fresh>;
  readonly signal: AbortSignal;
}

/** For everything that one command asks of the cluster. */
const TIMEOUT_MS = 120_000;
/** For finding out which cluster it is, which the answer can do without. */
const COMPARE_TIMEOUT_MS = 5_000;
const UNKNOWN_CLUSTER: ReadonlySet<ErrorCode> = new Set([
  'ApiForbidden',
  'ApiNotFound',
  'ApiUnavailable',
  'ApiThrottled',
]);

/** @throws BallastError when the configuration is wrong. Dispose of it: it holds connections. */
export async function openTarget(flags: Readonly<Record<string, Raw>>, context: CliContext): Promise<Target> {
  const { env, version, providers: definitions } = context;
  const loaded = await loadConfig({ flags, env, providers: providerSettings(context) });
  const { config } = loaded;
  const registry = createMetrics({ version });
  const cluster = await findCluster(config, context, registry);
  // What goes wrong is thrown and printed; standard output belongs to the answer.
  const log = createLog('silent');
  const client = cluster.connect();
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  return {
    loaded,
    client,
    namespace: cluster.access.namespace ?? 'default',
    signal,
    cluster: () => clusterUid(client, signal),
    async fresh() {
      const providers = await buildProviders({ loaded, definitions, log, registry });
      const inquiry = await freshInquiry({ client, config, providers, log, registry, signal });
      return { inquiry, providers };
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

async function clusterUid(client: KubeClient, signal: AbortSignal): Promise<string | undefined> {
  try {
    const options = { signal, timeoutMs: COMPARE_TIMEOUT_MS };
    const service = await client.get(SERVICES, { namespace: 'default', name: 'kubernetes' }, options);
    return service.metadata.uid;
  } catch (error) {
    // With the API server away or busy, what the controller says is worth the more.
    if (UNKNOWN_CLUSTER.has(classify(error).code)) return undefined;
    throw error;
  }
}

/** `svc/web`, `service/web` or `web`, as kubectl takes it. @throws BallastError `InvalidConfig` for anything else. */
export function parseServiceName(text: string): string {
  const [, name] = /^(?:(?:svc|service|services)\/)?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$/.exec(text) ?? [];
  if (name === undefined) throw new BallastError('InvalidConfig', `${text} names no Service; write svc/NAME.`);
  return name;
}
