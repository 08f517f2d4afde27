import type { Service } from '../kube/wire.ts';
import type { DesiredResult } from '../loadbalancer/desired.ts';
import { memberName, type LoadBalancerKey } from '../loadbalancer/identity.ts';
import type { LoadBalancerId, Refusal } from '../loadbalancer/model.ts';
import type { LoadBalancerStatus, Plan } from '../loadbalancer/provider.ts';
import { keyName } from './ports.ts';

/** What a reconcile would find and do now. */
export interface Preview {
  readonly key: LoadBalancerKey;
  readonly id: LoadBalancerId;
  /** The Services that ask for the load balancer. */
  readonly members: readonly Service[];
  /** The Services that it holds although they do not ask for it any more. */
  readonly leaving: readonly Service[];
  /** The Services that get finalizers or NodePorts first; what they ask for is planned after that. */
  readonly unprepared: readonly Service[];
  readonly wanted: DesiredResult;
  readonly plan: Plan;
  /** Nothing is planned, because the load balancer stays as it is until its members ask for something sensible. */
  readonly kept: boolean;
  readonly status: LoadBalancerStatus | undefined;
}

/** A plan for people and machines: what `ballast plan` prints. */
export interface PlanReport {
  readonly provider: string;
  readonly key: LoadBalancerKey;
  /** `namespace/name` of the load balancer. */
  readonly name: string;
  /** `namespace/name` of every Service that asks for it. */
  readonly members: readonly string[];
  /** `namespace/name` of every Service that is let go. */
  readonly leaving: readonly string[];
  /** What is written to Services before the steps, in plain words. */
  readonly preparations: readonly string[];
  readonly steps: Plan['steps'];
  readonly refusals: readonly Refusal[];
  readonly warnings: readonly string[];
  readonly kept: boolean;
}

export function planReport(provider: string, preview: Preview): PlanReport {
  const { key, id, members, leaving, unprepared, wanted, plan, kept } = preview;
  return {
    provider,
    key,
    name: memberName(id),
    members: members.map(keyName),
    leaving: leaving.map(keyName),
    preparations: unprepared.map((service) => `${keyName(service)} gets a finalizer, and NodePorts where it has none`),
    steps: plan.steps,
    refusals: [...wanted.refusals, ...plan.refusals],
    warnings: wanted.warnings.map(({ message }) => message),
    kept,
  };
}
