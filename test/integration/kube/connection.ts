import { Registry } from 'prom-client';
import { KubeClient, type Draft, type KubeClientOptions } from '#src/kube/client';
import { loadKubeConfig } from '#src/kube/config';
import { registerKubeMetrics, type KubeMetrics } from '#src/kube/metrics';
import { NODES } from '#src/kube/resources';
import type { Node } from '#src/kube/wire';
import type { ControlPlane } from '../../control-plane/control-plane.ts';

export interface Connection extends AsyncDisposable {
  readonly client: KubeClient;
  readonly metrics: KubeMetrics;
}

/** Our client to a control plane, by a kubeconfig like any other user's. */
export async function connect(plane: ControlPlane, more: Partial<KubeClientOptions> = {}): Promise<Connection> {
  const access = await loadKubeConfig({ path: plane.kubeconfigPath });
  const metrics = registerKubeMetrics(new Registry());
  const client = new KubeClient({ access, metrics, version: 'test', ...more });
  return { client, metrics, [Symbol.asyncDispose]: () => client.close() };
}

/** A Node as a kubelet registers it, so far as the API server insists. */
export function nodeDraft(name: string): Draft<Node> {
  return { apiVersion: 'v1', kind: 'Node', metadata: { name } };
}

/** Creates nodes `node-0000` and so on, a few at a time. */
export async function createNodes(client: KubeClient, count: number, signal: AbortSignal): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const name = `node-${String(next++).padStart(4, '0')}`;
      await client.create(NODES, nodeDraft(name), { signal });
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

/** Makes etcd forget every version before the current one, and with it every older watch and page. */
export async function compact(plane: ControlPlane): Promise<void> {
  const range = await etcd<{ header: { revision: string } }>(plane, '/v3/kv/range', { key: btoa('/') });
  await etcd(plane, '/v3/kv/compaction', { revision: range.header.revision, physical: true });
}

async function etcd<Answer>(plane: ControlPlane, path: string, body: object): Promise<Answer> {
  const response = await fetch(plane.etcdUrl + path, { method: 'POST', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`etcd answered ${response.status}: ${await response.text()}`);
  return JSON.parse(await response.text());
}
