import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createAuthority, issueCertificate, type KeyPair, writePrivateKey } from './certificates.ts';
import type { AuditLevel } from './control-plane-options.ts';
import { freePort } from './free-port.ts';
import { writeKubeconfig } from './kubeconfig.ts';

/** Where everything of one control plane lies, and its ports on 127.0.0.1. */
export interface Layout {
  readonly folder: string;
  readonly logFolder: string;
  readonly apiPort: number;
  readonly etcdPort: number;
  readonly authority: KeyPair;
  readonly serving: KeyPair;
  /** Signs ServiceAccount tokens. */
  readonly tokenKeyPath: string;
  /** The administrator's token, as `--token-auth-file` wants it. */
  readonly tokenFilePath: string;
  readonly kubeconfigPath: string;
  readonly auditLogPath: string;
  readonly auditPolicyPath: string;
}

/** Names and addresses by which clients may call the API server. */
const SERVING_HOSTS = ['127.0.0.1', 'localhost', '10.96.0.1', 'kubernetes', 'kubernetes.default.svc'];

/** Chooses ports and writes the keys, certificates, tokens and the administrator's kubeconfig into the folder. */
export async function prepareFiles(folder: string, adminToken: string, audit: AuditLevel | undefined): Promise<Layout> {
  const authority = await createAuthority(folder, 'ballast-test-ca');
  const serving = await issueCertificate(authority, folder, {
    name: 'kube-apiserver',
    commonName: 'kube-apiserver',
    hosts: SERVING_HOSTS,
    usage: 'serverAuth',
  });
  const layout: Layout = {
    folder,
    logFolder: join(folder, 'logs'),
    apiPort: await freePort(),
    etcdPort: await freePort(),
    authority,
    serving,
    tokenKeyPath: join(folder, 'service-accounts.key'),
    tokenFilePath: join(folder, 'tokens.csv'),
    kubeconfigPath: join(folder, 'kubeconfig.yaml'),
    auditLogPath: join(folder, 'audit.log'),
    auditPolicyPath: join(folder, 'audit-policy.yaml'),
  };
  await mkdir(layout.logFolder);
  await writePrivateKey(layout.tokenKeyPath);
  await writeFile(layout.tokenFilePath, `${adminToken},admin,admin,system:masters\n`, { mode: 0o600 });
  await writeKubeconfig(layout.kubeconfigPath, {
    server: apiUrl(layout),
    caPath: authority.certificatePath,
    token: adminToken,
  });
  if (audit) await writeFile(layout.auditPolicyPath, auditPolicy(audit));
  return layout;
}

export function apiUrl({ apiPort }: Pick<Layout, 'apiPort'>): string {
  return `https://127.0.0.1:${apiPort}`;
}

export function etcdUrl({ etcdPort }: Pick<Layout, 'etcdPort'>): string {
  return `http://127.0.0.1:${etcdPort}`;
}

/** One line per finished request; YAML's superset of JSON saves a template. */
function auditPolicy(level: AuditLevel): string {
  const policy = {
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived', 'ResponseStarted'],
    rules: [{ level }],
  };
  return JSON.stringify(policy);
}
