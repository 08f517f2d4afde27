import type { Registry } from 'prom-client';
import type { LoadedConfig } from '../config.ts';
import { BallastError } from '../errors.ts';
import type { Provider } from '../loadbalancer/provider.ts';
import type { Log } from '../telemetry/log.ts';
import type { CliContext } from './context.ts';

export interface BuildInput {
  readonly loaded: LoadedConfig;
  readonly definitions: CliContext['providers'];
  readonly log: Log;
  readonly registry: Registry;
}

/**
 * Builds every provider that the configuration turns on, in its order.
 * @throws BallastError `InvalidConfig` that says which option is wrong, and where it was set.
 */
export async function buildProviders({ loaded, definitions, log, registry }: BuildInput): Promise<readonly Provider[]> {
  const providers: Provider[] = [];
  for (const name of loaded.config.providers) {
    const definition = definitions[name];
    if (!definition) throw new Error(`the configuration let the provider ${name} through, which does not exist`);
    const own = definition.options.map((option) => [option.name, loaded.config.providerOptions[option.name]] as const);
    const parts = { log: log.child({ provider: name }), registry };
    try {
      providers.push(await definition.create(Object.fromEntries(own), parts));
    } catch (error) {
      throw withOrigin(error, loaded);
    }
  }
  return providers;
}

/** Providers name the flag; somebody who used a variable or the file looks there. */
function withOrigin(error: unknown, { originOf, effective }: LoadedConfig): unknown {
  if (!(error instanceof BallastError) || error.code !== 'InvalidConfig' || error.field === undefined) return error;
  const origin = originOf(error.field);
  const from = effective[error.field]?.from;
  if (origin === undefined || from === 'flag' || from === 'default') return error;
  return new BallastError('InvalidConfig', `${error.message} It was set by ${origin}.`, {
    cause: error,
    field: error.field,
  });
}
