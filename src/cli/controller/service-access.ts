/** What the Service controller needs of the cluster, made from the Kubernetes layer. */
import type { KubeClient } from '../../kube/client.ts';
import type { EventRecorder } from '../../kube/events.ts';
import { patchWithRetry } from '../../kube/patch.ts';
import { SERVICES } from '../../kube/resources.ts';
import type { EventSink, ServiceWriter } from '../../service/ports.ts';

/** Writes Services with the given client. */
export function serviceWriter(client: KubeClient): ServiceWriter {
  return {
    patch: (known, compute, options) =>
      patchWithRetry({
        client,
        resource: SERVICES,
        known,
        // A patch of ours is a plain object; only its type has no index signature.
        compute: (current) => {
          const patch = compute(current);
          return patch && { ...patch };
        },
        ...options,
      }),
  };
}

/** Records events about Services. */
export function serviceEvents(recorder: EventRecorder): EventSink {
  return {
    record({ metadata: { namespace, name, uid } }, type, reason, note) {
      recorder.record(
        { apiVersion: 'v1', kind: 'Service', namespace, name, uid },
        { type, reason, action: 'SyncLoadBalancer', note },
      );
    },
  };
}
