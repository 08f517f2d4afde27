import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { etcdUrl, type Layout } from './control-plane-files.ts';
import { type ControlPlaneOptions, IPV4_RANGE } from './control-plane-options.ts';

/** Data that dies with the test needs no fsync. Peers: none, but etcd insists on a port. */
export function etcdFlags(layout: Layout): string[] {
  const url = etcdUrl(layout);
  return flags({
    'data-dir': join(layout.folder, 'etcd'),
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'listen-peer-urls': 'http://127.0.0.1:0',
    'unsafe-no-fsync': 'true',
    'log-level': 'warn',
  });
}

/** RBAC on, the ServiceAccount admission on, tokens by TokenRequest, nothing reachable from outside this machine. */
export function apiServerFlags(layout: Layout, options: ControlPlaneOptions): string[] {
  const range = options.serviceClusterIpRange ?? IPV4_RANGE;
  const audit = {
    'audit-policy-file': layout.auditPolicyPath,
    'audit-log-path': layout.auditLogPath,
    // Blocking writes: whoever got an answer finds its request in the log.
    'audit-log-mode': 'blocking',
  };
  return [
    ...flags({
      'etcd-servers': etcdUrl(layout),
      'bind-address': '127.0.0.1',
      'secure-port': String(layout.apiPort),
      'advertise-address': advertiseAddress(range),
      'endpoint-reconciler-type': 'none',
      'cert-dir': layout.folder,
      'tls-cert-file': layout.serving.certificatePath,
      'tls-private-key-file': layout.serving.keyPath,
      'service-cluster-ip-range': range,
      'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
      'service-account-key-file': layout.tokenKeyPath,
      'service-account-signing-key-file': layout.tokenKeyPath,
      'token-auth-file': layout.tokenFilePath,
      'authorization-mode': 'RBAC',
      'allow-privileged': 'true',
      ...(options.serviceNodePortRange !== undefined && { 'service-node-port-range': options.serviceNodePortRange }),
      ...(options.audit && audit),
    }),
    ...(options.apiServerFlags ?? []),
  ];
}

export function controllerManagerFlags(layout: Layout, options: ControlPlaneOptions): string[] {
  return [
    ...flags({
      kubeconfig: layout.kubeconfigPath,
      controllers: (options.controllers ?? []).join(','),
      'leader-elect': 'false',
      'secure-port': '0',
      'service-account-private-key-file': layout.tokenKeyPath,
      'root-ca-file': layout.authority.certificatePath,
      'kube-api-qps': '200',
      'kube-api-burst': '300',
    }),
    ...(options.controllerManagerFlags ?? []),
  ];
}

/**
 * The address that the API server would publish as its own. A loopback address is refused, so it gets one that is kept
 * for documentation (RFC 5737, RFC 3849) and of the family of the first range; the reconciler that publishes it is off.
 */
function advertiseAddress(range: string): string {
  return isIPv6(range.split('/')[0] ?? '') ? '2001:db8::1' : '192.0.2.1';
}

function flags(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).map(([name, value]) => `--${name}=${value}`);
}
