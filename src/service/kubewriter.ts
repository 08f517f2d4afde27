import type { KubeClient } from '../kube/client.ts';
import { patchWithRetry } from '../kube/patch.ts';
import { SERVICES } from '../kube/resources.ts';
import { trimService } from '../kube/trim.ts';
import type { ServiceWriter } from './ports.ts';

/** Writes Services through the API server. */
export function createServiceWriter(client: Pick<KubeClient, 'get' | 'patch'>): ServiceWriter {
  return {
    async patch(known, compute, options) {
      const outcome = await patchWithRetry({ client, resource: SERVICES, known, compute, ...options });
      // As the store would have it, so that whoever compares the two finds no difference.
      return outcome.kind === 'gone' ? outcome : { ...outcome, object: trimService(outcome.object) };
    },
  };
}
