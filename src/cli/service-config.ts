import type { Config } from '../config/settings.ts';
import type { ServiceConfig } from '../service/config.ts';

/** The part of the configuration that decides about Services. */
export function serviceConfig(config: Config): ServiceConfig {
  const { nodePortRange, allowedGroups, defaultProvider, extraClasses, resyncPeriodMs, workers } = config;
  return { nodePortRange, allowedGroups, defaultProvider, extraClasses, resyncMs: resyncPeriodMs, workers };
}
