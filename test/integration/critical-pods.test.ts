/** `kubectl apply -k manifests` where the API server limits the system's priority classes to namespaces with a quota. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startControlPlane, type ControlPlane } from '#test/control-plane/control-plane';
import { refusal } from './service/cluster.ts';
import { waitFor } from './service/wait.ts';

const MANIFESTS = fileURLToPath(new URL('../../manifests', import.meta.url));
const PRIORITY = 'system-cluster-critical';

/** As GKE has it; https://kubernetes.io/docs/concepts/policy/resource-quotas/#limit-priority-class-consumption-by-default */
const ADMISSION = {
  apiVersion: 'apiserver.config.k8s.io/v1',
  kind: 'AdmissionConfiguration',
  plugins: [
    {
      name: 'ResourceQuota',
      configuration: {
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'ResourceQuotaConfiguration',
        limitedResources: [
          { resource: 'pods', matchScopes: [{ scopeName: 'PriorityClass', operator: 'In', values: [PRIORITY] }] },
        ],
      },
    },
  ],
};

let folder: string;
let plane: ControlPlane;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ballast-critical-pods-'));
  const file = join(folder, 'admission.json');
  await writeFile(file, JSON.stringify(ADMISSION));
  plane = await startControlPlane({
    controllers: ['resourcequota-controller', 'deployment-controller', 'replicaset-controller'],
    apiServerFlags: [`--admission-control-config-file=${file}`],
  });
});
afterAll(async () => {
  await plane?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

interface Pods {
  readonly items: readonly { readonly spec: { readonly priorityClassName?: string } }[];
}

it('no pod is as critical in a namespace without a quota for it', async () => {
  const pod = {
    metadata: { name: 'critical' },
    spec: { priorityClassName: PRIORITY, containers: [{ name: 'a', image: 'b' }] },
  };
  expect(await refusal(plane.request('POST', '/api/v1/namespaces/default/pods', pod))).toMatchObject({
    message: expect.stringContaining('insufficient quota to match these scopes'),
  });
});

it('the manifests bring theirs, so that both replicas are created', async () => {
  expect(await plane.kubectl(['apply', '-k', MANIFESTS])).toMatchObject({ code: 0 });
  const pods = await waitFor(
    'both pods of the controller to be created',
    async () => {
      const { items } = await plane.request<Pods>('GET', '/api/v1/namespaces/ballast-system/pods');
      return items.length === 2 ? items : undefined;
    },
    { timeoutMs: 120_000 },
  );
  expect(pods.map(({ spec }) => spec.priorityClassName)).toEqual([PRIORITY, PRIORITY]);
});
