import { loadConfig, type LoadedConfig } from '../../config.ts';
import type { Raw } from '../../config/sources.ts';
import { createLog } from '../../telemetry/log.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { findCluster } from '../cluster.ts';
import { providerSettings, type CliContext } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { buildProviders } from '../providers.ts';
import { checkEndings } from './ending.ts';
import { runProcess } from './process.ts';
import { watchForEnd } from './signals.ts';

/**
 * `ballast controller`: resolves with the exit code when the process was told to end, and has.
 * @throws BallastError when the configuration is wrong, before anything has begun.
 */
export async function runController(flags: Readonly<Record<string, Raw>>, context: CliContext): Promise<number> {
  const { env, version, providers: definitions } = context;
  const loaded = await loadConfig({ flags, env, providers: providerSettings(context) });
  const { config } = loaded;
  const log = createLog(config.logLevel);
  using end = watchForEnd(log);
  const registry = createMetrics({ version });
  const cluster = await findCluster(config, context, registry);
  const providers = await buildProviders({ loaded, definitions, log, registry });
  checkEndings(providers, config.shutdownTimeoutMs);
  const { server, description } = cluster.access;
  log.info({ version, server, cluster: description, ...effective(loaded) }, 'the controller starts');
  try {
    await runProcess({ config, cluster, providers, log, registry }, end.signal);
  } catch (error) {
    log.error({ error }, 'the controller ends because of a failure');
    return EXIT.failed.code;
  }
  log.info({}, 'the controller has ended');
  return EXIT.ok.code;
}

/** All settings that hold, and where those that are not defaults were set. */
function effective({ effective: all }: LoadedConfig): { readonly config: object; readonly setBy: object } {
  const entries = Object.entries(all);
  const chosen = entries.filter(([, { from }]) => from !== 'default');
  return {
    config: Object.fromEntries(entries.map(([name, { value }]) => [name, value])),
    setBy: Object.fromEntries(chosen.map(([name, { from }]) => [name, from])),
  };
}
