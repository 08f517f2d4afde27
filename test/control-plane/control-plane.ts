import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ApiClient, createApiClient } from './api-request.ts';
import { resolveBinaries } from './binaries.ts';
import { apiUrl, etcdUrl, type Layout, prepareFiles } from './control-plane-files.ts';
import type { ControlPlaneOptions } from './control-plane-options.ts';
import { ControlPlaneDaemons, PortTakenError } from './control-plane-daemons.ts';
import { createDataFolder, destroyDataFolder, removeStaleFolders } from './data-folder.ts';
import { startJanitor } from './janitor.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { ETCD, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBECTL } from './kubernetes-binaries.ts';
import { type CommandResult, runCommand } from './run-command.ts';
import { createDefaultServiceAccount, requestToken } from './service-accounts.ts';

export { ApiRequestError, type HttpMethod } from './api-request.ts';
export { type AuditLevel, type ControlPlaneOptions, DUAL_STACK_RANGE, IPV4_RANGE } from './control-plane-options.ts';

const START_ATTEMPTS = 3;
const KUBECTL_TIMEOUT_MS = 60_000;

export interface KubectlOptions {
  /** What the command reads from standard input (`apply -f -`). */
  readonly input?: string;
  /** Act as another user: the path of `createServiceAccountKubeconfig`. Default: the administrator. */
  readonly kubeconfigPath?: string;
  /** Default: a minute. */
  readonly signal?: AbortSignal;
}

/** A running etcd and kube-apiserver (and kube-controller-manager, when asked for), and the handles that tests need. */
export interface ControlPlane extends AsyncDisposable {
  /** `https://127.0.0.1:PORT`; the same after a restart. */
  readonly url: string;
  /** `http://127.0.0.1:PORT` of etcd, for what the API does not offer (compaction). */
  readonly etcdUrl: string;
  /** Kubeconfig of the administrator (`system:masters`). */
  readonly kubeconfigPath: string;
  readonly adminToken: string;
  /** PEM file of the authority that signed the API server's certificate. */
  readonly caPath: string;
  /** `NAME.log` of each daemon. Gone, like all its data, after `stop`. */
  readonly logFolder: string;
  /** One JSON object of kind `Event` (audit.k8s.io/v1) per line; there when `audit` was asked for. */
  readonly auditLogPath: string;
  /** The processes that run now, by name. */
  readonly pids: Readonly<Record<string, number>>;
  /** Runs kubectl; a failing command is a result with a code, not an exception. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<CommandResult>;
  /** One request as the administrator; see `ApiClient.request`. */
  readonly request: ApiClient['request'];
  /** Requests a token for the ServiceAccount (TokenRequest) and writes a kubeconfig with it; returns its path. */
  createServiceAccountKubeconfig(namespace: string, name: string): Promise<string>;
  /** Stops the API server in its tracks (SIGSTOP): connections stay open and nothing answers. */
  pauseApiServer(): void;
  resumeApiServer(): void;
  /** Kills the API server; its connections break and its port refuses. etcd keeps the data. */
  killApiServer(): Promise<void>;
  /** Starts the API server on its old port, after a kill when it still runs; resolves when it is ready. */
  restartApiServer(): Promise<void>;
  /** Ends all processes and removes all data; may be called more than once. */
  stop(): Promise<void>;
}

/**
 * Starts a control plane of its own (ports, data, certificates) on 127.0.0.1 and resolves when it is ready, in about
 * three seconds once the programs are there. Any number may run at once. When this process dies, however it dies, the
 * daemons and the data go with it.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  await removeStaleFolders();
  const manager = options.controllers?.length ? [KUBE_CONTROLLER_MANAGER] : [];
  const programs = await resolveBinaries([ETCD, KUBE_APISERVER, KUBECTL, ...manager], {
    progress: options.progress ?? ((line) => process.stderr.write(`${line}\n`)),
    ...(options.signal && { signal: options.signal }),
  });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(programs, options);
    } catch (error) {
      if (!(error instanceof PortTakenError) || attempt === START_ATTEMPTS) throw error;
    }
  }
}

async function startOnce(programs: ReadonlyMap<string, string>, options: ControlPlaneOptions): Promise<ControlPlane> {
  const folder = await createDataFolder();
  const janitor = startJanitor(folder);
  const cleanUp = async (): Promise<void> => {
    await janitor.finish();
    await destroyDataFolder(folder);
  };
  try {
    const adminToken = randomBytes(16).toString('hex');
    const layout = await prepareFiles(folder, adminToken, options.audit);
    const ca = await readFile(layout.authority.certificatePath, 'utf8');
    const client = createApiClient({ url: apiUrl(layout), ca, token: adminToken });
    const daemons = new ControlPlaneDaemons({ layout, programs, options, client });
    const end = async (): Promise<void> => {
      await daemons.killAll();
      await client.close();
      await cleanUp();
    };
    try {
      await daemons.start(options.signal);
      await createDefaultServiceAccount(client, options.signal);
    } catch (error) {
      await end();
      throw error;
    }
    return handles({ layout, programs, adminToken, client, daemons, janitorPid: janitor.pid, end });
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

interface Parts {
  readonly layout: Layout;
  readonly programs: ReadonlyMap<string, string>;
  readonly adminToken: string;
  readonly client: ApiClient;
  readonly daemons: ControlPlaneDaemons;
  readonly janitorPid: number;
  readonly end: () => Promise<void>;
}

function handles({ layout, programs, adminToken, client, daemons, janitorPid, end }: Parts): ControlPlane {
  const { folder, kubeconfigPath, auditLogPath, logFolder } = layout;
  const caPath = layout.authority.certificatePath;
  const url = apiUrl(layout);
  let ended: Promise<void> | undefined;
  const stop = (): Promise<void> => (ended ??= end());
  return {
    url,
    etcdUrl: etcdUrl(layout),
    kubeconfigPath,
    adminToken,
    caPath,
    logFolder,
    auditLogPath,
    get pids() {
      return { ...daemons.pids(), janitor: janitorPid };
    },
    kubectl: (args, { input, signal, kubeconfigPath: as = kubeconfigPath } = {}) =>
      runCommand(programs.get(KUBECTL.name) ?? KUBECTL.name, args, {
        env: { PATH: process.env['PATH'], HOME: folder, KUBECONFIG: as, KUBECACHEDIR: join(folder, 'kubectl') },
        ...(input !== undefined && { input }),
        signal: signal ?? AbortSignal.timeout(KUBECTL_TIMEOUT_MS),
      }),
    request: (...request) => client.request(...request),
    async createServiceAccountKubeconfig(namespace, name) {
      const token = await requestToken(client, namespace, name);
      const path = join(folder, `${namespace}-${name}.kubeconfig.yaml`);
      await writeKubeconfig(path, { server: url, caPath, token, namespace });
      return path;
    },
    pauseApiServer: () => daemons.signalApiServer('SIGSTOP'),
    resumeApiServer: () => daemons.signalApiServer('SIGCONT'),
    killApiServer: () => daemons.killApiServer(),
    restartApiServer: () => daemons.restartApiServer(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
