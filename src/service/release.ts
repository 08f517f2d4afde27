/** Lets a Service go that no load balancer holds any more. */
import type { Service } from '../kube/wire.ts';
import { claimOf, type ClaimRules } from '../loadbalancer/claim.ts';
import { currentConditions, mergeConditions, sameConditions, type Answer } from '../loadbalancer/conditions.ts';
import { currentIngress } from '../loadbalancer/ingress.ts';
import { clearedStatusFields, foreignIngress } from '../loadbalancer/status.ts';
import { withoutFinalizers } from './finalizers.ts';
import type { ServicePatch } from './ports.ts';

/** Whose the Service was, and the rules that say whose it is now. */
export interface Succession {
  readonly provider: string;
  readonly rules: ClaimRules;
}

function isTakenOver(service: Service, provider: string, rules: ClaimRules): boolean {
  const successor = claimOf(service, rules).provider;
  return successor !== undefined && successor !== provider;
}

/**
 * The patch that takes off our finalizers and, where the Service lives on without us, our conditions and the address
 * that is no more. When another of our providers has taken the Service over, the status is that one's business. While
 * it is still of type LoadBalancer, another controller may have published addresses: those stay.
 */
export function releasePatch(service: Service, { provider, rules }: Succession): ServicePatch | undefined {
  const takenOver = isTakenOver(service, provider, rules);
  const takesUpstream = rules.defaultProvider === provider && !takenOver;
  const finalizers = withoutFinalizers(service, provider, takesUpstream);
  const livesOn = service.metadata.deletionTimestamp === undefined && !takenOver;
  const status = livesOn ? clearedStatusFields(service, ingressLeft(service, finalizers !== undefined)) : undefined;
  if (finalizers === undefined) return status && { status };
  return { metadata: { finalizers: finalizers.length === 0 ? null : finalizers }, ...(status && { status }) };
}

/** What stays of the addresses: those of others; all of them when we had no part in the load balancer. */
function ingressLeft(service: Service, wasOurs: boolean): ReturnType<typeof currentIngress> {
  if (!wasOurs) return currentIngress(service);
  return service.spec?.type === 'LoadBalancer' ? foreignIngress(service) : [];
}

/** The patch that says why a Service cannot be let go yet; undefined when its status says so. */
export function stuckPatch(
  service: Service,
  answer: Answer,
  { provider, rules }: Succession,
  now: string,
): ServicePatch | undefined {
  if (isTakenOver(service, provider, rules)) return undefined;
  const conditions = mergeConditions(service, [answer], now);
  if (sameConditions(currentConditions(service), conditions)) return undefined;
  return { status: { loadBalancer: { ingress: currentIngress(service) }, conditions } };
}
