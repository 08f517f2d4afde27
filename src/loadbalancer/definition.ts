import type { Registry } from 'prom-client';
import type { Log } from '../telemetry/log.ts';
import type { OptionSpec, OptionValues } from './options.ts';
import type { Provider } from './provider.ts';

/** What a provider gets from the process it runs in. */
export interface ProviderParts {
  readonly log: Log;
  /** Where it registers its metrics. */
  readonly registry: Registry;
}

/** A provider before it is built: what `providers/registry.ts` lists. Cheap to load; `create` loads the rest. */
export interface ProviderDefinition {
  /** The `spec.loadBalancerClass` it claims. */
  readonly loadBalancerClass: string;
  /** Its options, whose names begin with its own; known also while it does not run. */
  readonly options: readonly OptionSpec[];
  /**
   * Builds it from the values of its options. Opens nothing and changes nothing outside.
   * @throws BallastError `InvalidConfig` with the option's name as `field`.
   */
  readonly create: (values: OptionValues, parts: ProviderParts) => Promise<Provider>;
}
