/** Ballast's controller as its users run it: pods of a lab's cluster, made by `kubectl apply -k`. */
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IMAGE_NAME, writeBallastImage } from '#image/ballast-image';
import type { ImageArchive } from '#image/archive';
import { imageFolder } from './image.ts';
import type { Lab } from './lab.ts';
import { waitFor } from './wait.ts';

const MANIFESTS = fileURLToPath(new URL('../../manifests', import.meta.url));
/** As `manifests/` name them. */
export const BALLAST_NAMESPACE = 'ballast-system';
const DEPLOYMENT = 'ballast-controller';
const EDGE_LABEL = 'node-role.kubernetes.io/edge';
const READY_WITHIN_MS = 120_000;

/** A pod of the controller, as far as tests look at it. */
export interface BallastPod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly restartCount: number;
      readonly lastState: { readonly terminated?: { readonly reason: string; readonly exitCode: number } };
    }[];
  };
}

/** No lab that still needs an archive is older. */
const ARCHIVE_MS = 2 * 24 * 3_600_000;

/** Every change of the sources makes another archive of 45 MiB in the cache. */
async function forgetOldImages(folder: string): Promise<void> {
  const [prefix] = IMAGE_NAME.split(':');
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  for (const entry of entries.filter((name) => name.startsWith(`${prefix}-`) || name.startsWith('layers/'))) {
    const file = join(folder, entry);
    if (Date.now() - (await stat(file)).mtimeMs > ARCHIVE_MS) await rm(file, { force: true });
  }
}

/** Makes the image and gives it to every node. */
export async function loadBallastImage(lab: Lab): Promise<ImageArchive> {
  await forgetOldImages(imageFolder());
  const image = await writeBallastImage(imageFolder());
  await lab.loadImage(image.path);
  return image;
}

/** `kubectl apply -k manifests`: the controller as a pod like any other. Resolves when both replicas are ready. */
export async function applyBallast(lab: Lab, signal?: AbortSignal): Promise<void> {
  await lab.kubectl(['apply', '-k', MANIFESTS], { signal });
  await untilBallastReady(lab, signal);
}

export interface EdgeOptions {
  /** Strategic merge patches on top of `manifests/edge`. */
  readonly patches?: readonly object[];
  /** Components of `manifests/` to add, by folder. */
  readonly components?: readonly string[];
  readonly signal?: AbortSignal;
}

/**
 * The overlay that a user of `manifests/edge` writes, applied: the proxy provider on the edge nodes, which gives Services
 * the lab's addresses for load balancers on their `eth0`. Resolves when both replicas are ready.
 */
export async function applyEdge(lab: Lab, options: EdgeOptions = {}): Promise<void> {
  const { signal } = options;
  const folder = await edgeOverlay(lab, options);
  await lab.kubectl(['apply', '-k', folder], { signal });
  await untilBallastReady(lab, signal);
}

/** Makes nodes those on which the overlay's replicas run. */
export async function labelEdgeNodes(lab: Lab, nodes: readonly string[]): Promise<void> {
  await lab.kubectl(['label', 'node', ...nodes, `${EDGE_LABEL}=`]);
}

/** Writes the overlay; returns its folder. */
async function edgeOverlay(lab: Lab, { patches = [], components = [] }: EdgeOptions): Promise<string> {
  const folder = join(dirname(lab.kubeconfigPath), 'edge-overlay');
  await mkdir(folder, { recursive: true });
  const addresses = lab.loadBalancerRanges.map(({ first, last }) => `${first}-${last}`);
  // JSON is YAML.
  await writeFile(
    join(folder, 'ballast.yaml'),
    JSON.stringify({ 'proxy-addresses': addresses, 'proxy-interface': 'eth0' }),
  );
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    namespace: BALLAST_NAMESPACE,
    resources: [relative(folder, join(MANIFESTS, 'edge'))],
    components: components.map((name) => relative(folder, join(MANIFESTS, name))),
    configMapGenerator: [{ name: 'ballast-config', behavior: 'replace', files: ['ballast.yaml'] }],
    patches: patches.map((patch) => ({ patch: JSON.stringify(patch) })),
  };
  await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
  return folder;
}

/** Waits until there are exactly the replicas that are wanted, all of the newest template and ready. */
export async function untilBallastReady(lab: Lab, signal?: AbortSignal): Promise<void> {
  await lab.waitForDeployment({
    name: DEPLOYMENT,
    namespace: BALLAST_NAMESPACE,
    timeoutMs: READY_WITHIN_MS,
    ...(signal && { signal }),
  });
}

/** The controller's pods, without those that are being deleted. */
export async function ballastPods(lab: Lab): Promise<readonly BallastPod[]> {
  const path = `/api/v1/namespaces/${BALLAST_NAMESPACE}/pods`;
  const { items } = await lab.request<{ readonly items: readonly BallastPod[] }>('GET', path);
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/** Who holds the Lease, as it says itself; empty when it was given back. */
export async function leaseHolder(lab: Lab): Promise<string> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${BALLAST_NAMESPACE}/leases/${DEPLOYMENT}`;
  const lease = await lab.request<{ readonly spec: { readonly holderIdentity?: string } }>('GET', path);
  return lease.spec.holderIdentity ?? '';
}

/** Waits until one of the pods has the Lease. With hostNetwork, a pod's host name is that of its node. */
export async function leadingPod(lab: Lab, signal?: AbortSignal): Promise<BallastPod> {
  return waitFor({
    what: 'a pod of the controller to lead',
    timeoutMs: 60_000,
    signal,
    check: async () => {
      const [host] = (await leaseHolder(lab)).split('_');
      const pods = await ballastPods(lab);
      return pods.find(({ metadata, spec }) => host === metadata.name || host === spec.nodeName);
    },
  });
}
