import type { AddressGrant } from '../loadbalancer/address-grant.ts';
import type { AllowedGroups } from '../loadbalancer/group.ts';
import type { IpRange } from '../loadbalancer/ip-range.ts';
import type { NodeGuardRules } from '../loadbalancer/nodeguard.ts';
import type { OptionSpec, OptionValues } from '../loadbalancer/options.ts';
import type { CertificateFiles } from '../telemetry/certificate.ts';
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
  readonly addressGrants: readonly AddressGrant[];
  readonly nodeGuard: NodeGuardRules;
  /** Empty: every address but special ones. */
  readonly nodeAddresses: readonly IpRange[];
  readonly workers: number;
  readonly resyncPeriodMs: number;
  /** Undefined: this process works without asking others. */
  readonly leaderElection: LeaderElectionSettings | undefined;
  /** Undefined: nothing is served. */
  readonly metricsAddress: BindAddress | undefined;
  /** Undefined: plain HTTP. */
  readonly metricsTls: CertificateFiles | undefined;
  readonly metricsAuth: MetricsAuth;
  readonly logLevel: LogLevel;
  readonly shutdownTimeoutMs: number;
  /** What the providers' own tables hold, by option name. */
  readonly providerOptions: OptionValues;
}

/** Who may have metrics: everybody who reaches them, or who brings a token of a user that may. */
export const METRICS_AUTH = ['none', 'token'] as const;
export type MetricsAuth = (typeof METRICS_AUTH)[number];

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
