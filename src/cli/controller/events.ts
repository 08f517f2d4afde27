import type { EventRecorder } from '../../kube/events.ts';
import type { EventSink } from '../../service/ports.ts';

/** What was being done when an event with this reason came about (`action` of `events.k8s.io/v1`). */
const ACTIONS: Readonly<Record<string, string>> = {
  EnsuringLoadBalancer: 'Ensure',
  EnsuredLoadBalancer: 'Ensure',
  UpdatedLoadBalancer: 'Update',
  DeletingLoadBalancer: 'Delete',
  DeletedLoadBalancer: 'Delete',
};

/** Records events about Services and Nodes for `kubectl describe`. */
export function serviceEvents(recorder: Pick<EventRecorder, 'record'>): EventSink {
  return {
    record({ metadata: { namespace, name, uid } }, type, reason, note) {
      const service = { apiVersion: 'v1', kind: 'Service', namespace, name, uid };
      recorder.record(service, { type, reason, action: ACTIONS[reason] ?? 'Sync', note });
    },
    recordNode(name, type, reason, note) {
      // As the kubelet does, the name for the UID: `kubectl describe node` looks for both, also after a new registration.
      const node = { apiVersion: 'v1', kind: 'Node', name, uid: name };
      recorder.record(node, { type, reason, action: 'UpdateTargets', note });
    },
  };
}
