import type { Service } from '../kube/wire.ts';

/** The part of a provider that decides what it claims. */
export interface Claimant {
  readonly name: string;
  readonly loadBalancerClass: string;
}

export interface ClaimRules {
  /** Every provider that runs in this controller. */
  readonly providers: readonly Claimant[];
  /** Name of the provider that takes Services without a class; undefined when none does. */
  readonly defaultProvider: string | undefined;
  /** Further classes and the name of the provider that takes them, for a move from another controller. */
  readonly extraClasses: ReadonlyMap<string, string>;
}

/** Whose a Service is, and why, for a person. */
export type Claim =
  | { readonly provider: string; readonly why: string }
  | { readonly provider: undefined; readonly why: string };

/**
 * Which provider makes the Service's load balancer. Only `type: LoadBalancer` with a cluster address can be claimed;
 * a class that no provider claims is somebody else's, and such a Service is never touched.
 */
export function claimOf(service: Service, rules: ClaimRules): Claim {
  const { type = 'ClusterIP', clusterIP, loadBalancerClass } = service.spec ?? {};
  if (type !== 'LoadBalancer') return { provider: undefined, why: `its type is ${type}, not LoadBalancer` };
  if (clusterIP === 'None') return { provider: undefined, why: 'it is headless (clusterIP: None)' };
  if (loadBalancerClass === undefined) return claimClassless(rules);
  const owner = rules.providers.find((provider) => provider.loadBalancerClass === loadBalancerClass)?.name;
  const provider = owner ?? rules.extraClasses.get(loadBalancerClass);
  if (provider !== undefined && runs(provider, rules)) {
    return { provider, why: `its loadBalancerClass is ${loadBalancerClass}` };
  }
  return { provider: undefined, why: `its loadBalancerClass ${loadBalancerClass} belongs to another controller` };
}

function claimClassless(rules: ClaimRules): Claim {
  const { defaultProvider } = rules;
  if (defaultProvider === undefined) {
    return { provider: undefined, why: 'it has no loadBalancerClass, and no provider is the default' };
  }
  return runs(defaultProvider, rules)
    ? { provider: defaultProvider, why: `it has no loadBalancerClass, and ${defaultProvider} is the default provider` }
    : { provider: undefined, why: `it has no loadBalancerClass, and the default provider ${defaultProvider} is off` };
}

function runs(name: string, { providers }: ClaimRules): boolean {
  return providers.some((provider) => provider.name === name);
}
