import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  addressesOf,
  CONTROL_PLANE_HOST,
  type Family,
  inOrder,
  insideServer,
  KUBERNETES_SERVICE,
  perFamily,
} from './addresses.ts';
import type { LabDirectory } from './directory.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { CertificateAuthority, createSigningKey, type KeyPair } from './pki.ts';

const SERVER = 'kube-apiserver';
const KUBELET_CLIENT = 'kube-apiserver-kubelet-client';
/** The group that RBAC lets do everything. */
const MASTERS = 'system:masters';

/** The identities of a lab: a real authority, a client certificate for each part, and an administrator's token. */
export class Credentials {
  readonly authority: CertificateAuthority;
  readonly #pki: string;
  readonly #families: readonly Family[];

  constructor(directory: LabDirectory, families: readonly Family[]) {
    this.#pki = directory.pki;
    this.#families = families;
    this.authority = new CertificateAuthority(directory.pki);
  }

  /** Makes the authority, the API server's certificates and signing key, and the administrator's token. */
  async create(): Promise<{ readonly adminToken: string }> {
    const adminToken = randomBytes(24).toString('base64url');
    await this.authority.create('ballast-lab');
    await Promise.all([
      this.authority.issueServer(SERVER, { commonName: SERVER }, this.#serverNames()),
      this.authority.issueClient(KUBELET_CLIENT, { commonName: KUBELET_CLIENT, organization: MASTERS }),
      createSigningKey(this.signingKey),
      writeFile(this.tokens, `${adminToken},admin,admin,"${MASTERS}"\n`, { mode: 0o600 }),
    ]);
    return { adminToken };
  }

  /** File with the key that signs ServiceAccount tokens. */
  get signingKey(): string {
    return join(this.#pki, 'service-accounts.key');
  }

  /** File with the static tokens that the API server accepts. */
  get tokens(): string {
    return join(this.#pki, 'tokens.csv');
  }

  get server(): KeyPair {
    return this.authority.pair(SERVER);
  }

  /** Whom the kubelets take the API server for. */
  get kubeletClient(): KeyPair {
    return this.authority.pair(KUBELET_CLIENT);
  }

  /** Makes a certificate for a part of the cluster and writes a kubeconfig with it, for use inside the lab. */
  async kubeconfigFor(user: string, file: string, organization?: string): Promise<string> {
    const subject = { commonName: user, ...(organization !== undefined && { organization }) };
    const pair = await this.authority.issueClient(user.replaceAll(':', '-'), subject);
    const server = insideServer(this.#families);
    return writeKubeconfig(file, { server, authority: this.authority.certificate, user: pair });
  }

  #serverNames(): readonly string[] {
    const addresses = [
      '127.0.0.1',
      ...inOrder(this.#families, addressesOf(this.#families, 'nodes', CONTROL_PLANE_HOST)),
      ...inOrder(
        this.#families,
        perFamily(this.#families, (family) => KUBERNETES_SERVICE[family]),
      ),
    ];
    const names = [
      'kubernetes',
      'kubernetes.default',
      'kubernetes.default.svc',
      'kubernetes.default.svc.cluster.local',
    ];
    return [...['localhost', ...names].map((name) => `DNS:${name}`), ...addresses.map((address) => `IP:${address}`)];
  }
}
