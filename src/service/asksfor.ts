import type { Service } from '../kube/wire.ts';
import { assignmentOf } from '../loadbalancer/group.ts';
import type { LoadBalancerKey } from '../loadbalancer/identity.ts';
import { partOf, type RosterOptions } from './roster.ts';

/**
 * Whether this state of a member still asks for the load balancer, so that what was computed for it there may be
 * written. One that names a group it may not join asks for none, and may be with the one that it had.
 */
export function stillAsksFor(service: Service, key: LoadBalancerKey, claims: RosterOptions): boolean {
  const part = partOf(service, claims);
  if (part?.kind !== 'member') return false;
  return part.key === key || assignmentOf(service, claims.allowedGroups).refusal !== undefined;
}
