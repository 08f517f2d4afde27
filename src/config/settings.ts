import type { AllowedGroups } from '../loadbalancer/group.ts';
import type { OptionSpec, OptionValues } from '../loadbalancer/options.ts';
import type { LogLevel } from '../telemetry/log.ts';
import type { BindAddress, PortRange } from './values.ts';

/** The controller's settings, checked and frozen; times in milliseconds. */
export interface Config {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Names of the providers that run. */
  readonly providers: readonly string[];
  /** Undefined: Services without a class are left alone. */
  readonly defaultProvider: string | undefined;
  /** Further `loadBalancerClass` values, to the provider that takes each. */
  readonly extraClasses: ReadonlyMap<string, string>;
  readonly allowedGroups: AllowedGroups;
  readonly nodePortRange: PortRange;
  readonly workers: number;
  readonly resyncPeriodMs: number;
  /** Undefined: this process works without asking others. */
  readonly leaderElection: LeaderElectionSettings | undefined;
  /** Undefined: nothing is served. */
  readonly metricsAddress: BindAddress | undefined;
  readonly logLevel: LogLevel;
  readonly shutdownTimeoutMs: number;
  /** What the providers' own tables hold, by option name. */
  readonly providerOptions: OptionValues;
}

export interface LeaderElectionSettings {
  readonly namespace: string;
  readonly name: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

/** The part of a provider's definition that configuration needs. */
export interface ProviderSettings {
  readonly name: string;
  /** The `spec.loadBalancerClass` it claims. */
  readonly loadBalancerClass: string;
  readonly options: readonly OptionSpec[];
}
