import type { ClaimRules, Claimant } from '../loadbalancer/claim.ts';
import type { AddressGrant } from '../loadbalancer/address-grant.ts';
import type { AllowedGroups } from '../loadbalancer/group.ts';
import type { IpRange } from '../loadbalancer/ip-range.ts';
import type { NodeGuardRules } from '../loadbalancer/nodeguard.ts';

/** The NodePorts of the cluster, both ends included (`--service-node-port-range` of the API server). */
export interface NodePortRange {
  readonly min: number;
  readonly max: number;
}

/** What an operator decides about the Service controller. */
export interface ServiceConfig {
  readonly nodePortRange: NodePortRange;
  /** Groups that Services of other namespaces may join. */
  readonly allowedGroups: AllowedGroups;
  /** Name of the provider that takes Services without a class; undefined when none does. */
  readonly defaultProvider: string | undefined;
  /** Further classes and the name of the provider that takes them. */
  readonly extraClasses: ReadonlyMap<string, string>;
  /** When nodes that vanish are doubted, and for how long. */
  readonly nodeGuard: NodeGuardRules;
  /** The only ranges that the nodes' InternalIPs are in; none for every address but special ones. */
  readonly nodeAddresses: readonly IpRange[];
  /** Who may ask for which addresses. */
  readonly addressGrants: readonly AddressGrant[];
  /** Every load balancer is looked at once in this time, in milliseconds, also when nothing has happened. */
  readonly resyncMs: number;
  /** How many load balancers of one provider are worked on at once. */
  readonly workers: number;
}

export const SERVICE_CONFIG_DEFAULTS: ServiceConfig = {
  nodePortRange: { min: 30_000, max: 32_767 },
  allowedGroups: new Map(),
  nodeAddresses: [],
  addressGrants: [],
  defaultProvider: undefined,
  extraClasses: new Map(),
  nodeGuard: { limitPercent: 50, windowMs: 10_000, holdMs: 60_000 },
  resyncMs: 600_000,
  workers: 8,
};

/** Throws a RangeError that names the value that makes no sense. */
export function checkServiceConfig({ nodePortRange: { min, max }, resyncMs, workers }: ServiceConfig): void {
  if (!(Number.isInteger(min) && Number.isInteger(max) && 1 <= min && min <= max && max <= 65_535)) {
    throw new RangeError(`nodePortRange must lie in 1-65535, lower end first, not ${min}-${max}`);
  }
  if (!(Number.isFinite(resyncMs) && resyncMs > 0)) throw new RangeError(`resyncMs must be above 0, not ${resyncMs}`);
  if (!(Number.isInteger(workers) && workers > 0)) throw new RangeError(`workers must be above 0, not ${workers}`);
}

/** Who claims what, with these providers running. */
export function claimRules(config: ServiceConfig, providers: readonly Claimant[]): ClaimRules {
  return { providers, defaultProvider: config.defaultProvider, extraClasses: config.extraClasses };
}
