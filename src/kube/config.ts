import { access, constants } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { BallastError } from '../errors.ts';
import type { ClusterAccess } from './access.ts';
import { inClusterAccess, isInCluster } from './incluster.ts';
import { kubeconfigAccess } from './kubeconfig.ts';

export interface KubeConfigOptions {
  /** A kubeconfig file (`--kubeconfig`); nothing else is looked at then. */
  readonly path?: string | undefined;
  /** A context of the kubeconfig instead of its current one. */
  readonly context?: string | undefined;
  /** `true`: only the pod's service account; `false`: never. Default: where the chain finds it. */
  readonly inCluster?: boolean | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly home?: string | undefined;
  readonly serviceAccountDirectory?: string | undefined;
}

/**
 * Finds the cluster: `path`, then the files of `KUBECONFIG`, then the service account of the pod we run in, then
 * `~/.kube/config`. The first that exists is taken and must be right; a broken one is an error and never skipped,
 * because the next might be another cluster.
 * @throws BallastError `InvalidConfig` that says which file, context, cluster or user is wrong.
 */
export async function loadKubeConfig(options: KubeConfigOptions = {}): Promise<ClusterAccess> {
  const env = options.env ?? process.env;
  const pod = { env, serviceAccountDirectory: options.serviceAccountDirectory };
  if (options.inCluster === true) return inClusterAccess(pod);
  if (options.path !== undefined) return kubeconfigAccess([options.path], options.context);

  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  if (listed.length > 0) {
    const files = await existing(listed);
    if (files.length > 0) return kubeconfigAccess(files, options.context);
    throw new BallastError('InvalidConfig', `KUBECONFIG names no file that exists: ${listed.join(', ')}.`);
  }

  if (options.context === undefined && options.inCluster !== false && (await isInCluster(pod))) {
    return inClusterAccess(pod);
  }

  const file = join(options.home ?? homedir(), '.kube', 'config');
  if ((await existing([file])).length > 0) return kubeconfigAccess([file], options.context);
  throw new BallastError(
    'InvalidConfig',
    `No cluster: there is no --kubeconfig, no KUBECONFIG, no service account of a pod and no ${file}.`,
  );
}

async function existing(files: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const file of files) {
    await access(file, constants.F_OK).then(
      () => found.push(file),
      () => {},
    );
  }
  return found;
}
