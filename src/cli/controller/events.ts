import type { EventRecorder } from '../../kube/events.ts';
import type { EventSink } from '../../service/ports.ts';

/** Records events about Services for `kubectl describe`. */
export function serviceEvents(recorder: Pick<EventRecorder, 'record'>): EventSink {
  return {
    record({ metadata: { namespace, name, uid } }, type, reason, note) {
      const service = { apiVersion: 'v1', kind: 'Service', namespace, name, uid };
      recorder.record(service, { type, reason, action: 'SyncLoadBalancer', note });
    },
  };
}
