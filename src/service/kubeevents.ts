import type { EventRecorder } from '../kube/events.ts';
import type { EventSink } from './ports.ts';

/** What was being done when an event with this reason came about (`action` of `events.k8s.io/v1`). */
const ACTIONS: Readonly<Record<string, string>> = {
  EnsuringLoadBalancer: 'Ensure',
  EnsuredLoadBalancer: 'Ensure',
  UpdatedLoadBalancer: 'Update',
  DeletingLoadBalancer: 'Delete',
  DeletedLoadBalancer: 'Delete',
};

/** Records events about Services as Event objects. */
export function createEventSink(recorder: Pick<EventRecorder, 'record'>): EventSink {
  return {
    record({ metadata: { namespace, name, uid } }, type, reason, message) {
      const ref = { apiVersion: 'v1', kind: 'Service', namespace, name, uid };
      recorder.record(ref, { type, reason, action: ACTIONS[reason] ?? 'Sync', note: message });
    },
  };
}
