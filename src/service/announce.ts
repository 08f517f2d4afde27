/**
 * Events of a Service, with upstream's reasons. Most follow from what a status write changed, so each change is told
 * once, however often it was tried, and a restart tells nothing again. Nodes and endpoints that come and go make no
 * event: with thousands of Services, one flapping node would make thousands.
 */
import type { Service } from '../kube/wire.ts';
import { ACCEPTED, PROGRAMMED, READY, currentCondition, type Answer } from '../loadbalancer/conditions.ts';
import type { EventType } from './ports.ts';

export interface Announcement {
  readonly type: EventType;
  readonly reason: string;
  readonly message: string;
}

export const ENSURING: Announcement = {
  type: 'Normal',
  reason: 'EnsuringLoadBalancer',
  message: 'Ensuring load balancer',
};
export const ENSURED: Announcement = {
  type: 'Normal',
  reason: 'EnsuredLoadBalancer',
  message: 'Ensured load balancer',
};
export const UPDATED: Announcement = {
  type: 'Normal',
  reason: 'UpdatedLoadBalancer',
  message: 'Updated load balancer as the Service asks',
};
export const DELETING: Announcement = {
  type: 'Normal',
  reason: 'DeletingLoadBalancer',
  message: 'Deleting load balancer',
};
export const DELETED: Announcement = {
  type: 'Normal',
  reason: 'DeletedLoadBalancer',
  message: 'Deleted load balancer',
};
const UNAVAILABLE: Announcement = {
  type: 'Warning',
  reason: 'UnAvailableLoadBalancer',
  message: 'There are no available nodes for LoadBalancer',
};

/** Reasons of Programmed that say "wait" or "see Accepted", not "failed". */
const QUIET_REASONS: ReadonlySet<string> = new Set(['Pending', 'NotAccepted']);

/** What to tell when the status of `before` has become `answers`. */
export function announcementsOf(
  before: Service,
  answers: readonly Answer[],
  warnings: readonly string[],
): readonly Announcement[] {
  const told: Announcement[] = [];
  for (const answer of answers) {
    const old = currentCondition(before, answer.type);
    const turned = old?.status !== answer.status;
    const changed = turned || old?.reason !== answer.reason || old.message !== answer.message;
    if (!changed) continue;
    if (answer.type === PROGRAMMED && answer.status === 'True' && turned) told.push(ENSURED);
    if (answer.type === READY && answer.reason === 'NoNodes' && old?.reason !== 'NoNodes') told.push(UNAVAILABLE);
    if (answer.status === 'False' && answer.type !== READY && !QUIET_REASONS.has(answer.reason)) {
      told.push(failure(answer.message));
    }
    if (answer.type === ACCEPTED && answer.status === 'True') {
      told.push(...warnings.map(unknownAnnotation));
    }
  }
  return told;
}

function unknownAnnotation(message: string): Announcement {
  return { type: 'Warning', reason: 'UnknownAnnotation', message };
}

function failure(message: string): Announcement {
  return { type: 'Warning', reason: 'SyncLoadBalancerFailed', message: `Error syncing load balancer: ${message}` };
}
