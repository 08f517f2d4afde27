import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessIdentity } from '../control-plane/process-identity.ts';
import {
  addressesOf,
  API_PORT,
  CONTROL_PLANE_HOST,
  controlPlaneAddress,
  type Family,
  inOrder,
  SERVICE_CIDR,
} from './addresses.ts';
import type { Credentials } from './credentials.ts';
import { startDaemon } from './daemon.ts';
import type { LabDirectory } from './directory.ts';
import { CONTROL_PLANE } from './names.ts';
import { inNamespace } from './network.ts';
const ETCD_CLIENT = 'http://127.0.0.1:2379';
const ETCD_PEER = 'http://127.0.0.1:2380';
const ISSUER = 'https://kubernetes.default.svc.cluster.local';

/** The parts of the control plane that are daemons, as `logs` names them. */
export type ControlPlanePart = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'coredns';

export interface ControlPlaneOptions {
  readonly lab: string;
  readonly families: readonly Family[];
  readonly directory: LabDirectory;
  readonly binary: (name: string) => string;
  readonly nodeMonitorGracePeriodSeconds: number;
}

/** Is told of every part as soon as it runs. */
export type OnStarted = (part: ControlPlanePart, process: ProcessIdentity) => Promise<void>;

/** Starts etcd and the API server. */
export async function startApiServer(
  options: ControlPlaneOptions,
  credentials: Credentials,
  started: OnStarted,
): Promise<void> {
  const start = async (name: ControlPlanePart, flags: readonly string[]): Promise<void> =>
    started(name, await startPart(options, name, flags));
  await start('etcd', etcdFlags(options));
  await start('kube-apiserver', apiServerFlags(options, credentials));
}

/** Starts what talks to the API server: controllers, scheduler, cluster DNS. */
export async function startControllers(
  options: ControlPlaneOptions,
  credentials: Credentials,
  started: OnStarted,
): Promise<void> {
  const file = (name: string): string => join(options.directory.pki, `${name}.kubeconfig`);
  const parts = [
    { name: 'kube-controller-manager', user: 'system:kube-controller-manager', flags: controllerManagerFlags },
    { name: 'kube-scheduler', user: 'system:kube-scheduler', flags: schedulerFlags },
    { name: 'coredns', user: 'system:coredns', flags: corednsFlags },
  ] as const;
  await Promise.all(
    parts.map(async ({ name, user, flags }) => {
      const kubeconfig = await credentials.kubeconfigFor(user, file(name));
      await started(name, await startPart(options, name, await flags(options, credentials, kubeconfig)));
    }),
  );
}

async function startPart(
  { lab, directory, binary }: ControlPlaneOptions,
  name: ControlPlanePart,
  flags: readonly string[],
): Promise<ProcessIdentity> {
  const command = inNamespace(lab, CONTROL_PLANE, [binary(name), ...flags]);
  return startDaemon({ command, logFile: directory.log(name), directory: directory.path });
}

function etcdFlags({ directory }: ControlPlaneOptions): readonly string[] {
  return [
    `--data-dir=${join(directory.path, 'etcd')}`,
    `--listen-client-urls=${ETCD_CLIENT}`,
    `--advertise-client-urls=${ETCD_CLIENT}`,
    `--listen-peer-urls=${ETCD_PEER}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

function apiServerFlags({ families }: ControlPlaneOptions, credentials: Credentials): readonly string[] {
  const { certificate, key } = credentials.server;
  const kubelets = credentials.kubeletClient;
  return [
    `--etcd-servers=${ETCD_CLIENT}`,
    `--tls-cert-file=${certificate}`,
    `--tls-private-key-file=${key}`,
    `--client-ca-file=${credentials.authority.certificate}`,
    `--token-auth-file=${credentials.tokens}`,
    `--secure-port=${API_PORT}`,
    `--bind-address=${families.includes('IPv6') ? '::' : '0.0.0.0'}`,
    `--advertise-address=${controlPlaneAddress(families)}`,
    `--service-cluster-ip-range=${families.map((family) => SERVICE_CIDR[family]).join(',')}`,
    `--service-account-issuer=${ISSUER}`,
    `--service-account-key-file=${credentials.signingKey}`,
    `--service-account-signing-key-file=${credentials.signingKey}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged',
    '--kubelet-preferred-address-types=InternalIP',
    `--kubelet-client-certificate=${kubelets.certificate}`,
    `--kubelet-client-key=${kubelets.key}`,
    '--enable-aggregator-routing=true',
  ];
}

function controllerManagerFlags(
  { nodeMonitorGracePeriodSeconds }: ControlPlaneOptions,
  { authority, signingKey }: Credentials,
  kubeconfig: string,
): readonly string[] {
  return [
    ...clientFlags(kubeconfig),
    `--service-account-private-key-file=${signingKey}`,
    `--root-ca-file=${authority.certificate}`,
    `--cluster-signing-cert-file=${authority.certificate}`,
    `--cluster-signing-key-file=${authority.key}`,
    '--use-service-account-credentials',
    `--node-monitor-grace-period=${nodeMonitorGracePeriodSeconds}s`,
    '--kube-api-qps=200',
    '--kube-api-burst=300',
  ];
}

function schedulerFlags(
  _options: ControlPlaneOptions,
  _credentials: Credentials,
  kubeconfig: string,
): readonly string[] {
  return clientFlags(kubeconfig);
}

/** One replica each, so no election; nobody asks for their metrics, so no port. */
function clientFlags(kubeconfig: string): readonly string[] {
  return [`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0'];
}

/** CoreDNS runs beside the API server, like kubeadm's etcd: it answers also where no pod can run. */
async function corednsFlags(
  { families, directory }: ControlPlaneOptions,
  _credentials: Credentials,
  kubeconfig: string,
): Promise<readonly string[]> {
  const file = join(directory.path, 'Corefile');
  const addresses = inOrder(families, addressesOf(families, 'nodes', CONTROL_PLANE_HOST)).join(' ');
  const zone = ['cluster.local in-addr.arpa ip6.arpa {', `kubeconfig ${kubeconfig} lab`, 'pods insecure', '}'];
  const lines = ['.:53 {', `bind ${addresses}`, 'errors', `kubernetes ${zone.join('\n')}`, '}'];
  await writeFile(file, `${lines.join('\n')}\n`);
  return ['-conf', file];
}
