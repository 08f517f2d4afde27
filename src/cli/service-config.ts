import type { Config } from '../config/settings.ts';
import type { ServiceConfig } from '../service/config.ts';

/** The part of the configuration that decides about Services. */
export function serviceConfig(config: Config): ServiceConfig {
  const { nodePortRange, allowedGroups, addressGrants, defaultProvider, extraClasses } = config;
  const { nodeGuard, nodeAddresses, resyncPeriodMs: resyncMs, workers } = config;
  return {
    nodePortRange,
    allowedGroups,
    addressGrants,
    defaultProvider,
    extraClasses,
    nodeGuard,
    nodeAddresses,
    resyncMs,
    workers,
  };
}
