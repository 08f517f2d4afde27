import { readFile, writeFile } from 'node:fs/promises';
import type { KeyPair } from './pki.ts';

export interface KubeconfigOptions {
  /** Address of the API server: `https://127.0.0.1:41234`. */
  readonly server: string;
  /** File with the certificate of the authority that signed the API server's. */
  readonly authority: string;
  readonly user: { readonly token: string } | KeyPair;
  /** Namespace of commands that name none. Default `default`. */
  readonly namespace?: string;
}

/** Writes a kubeconfig that carries everything in itself, so that the file can be moved. JSON is YAML. */
export async function writeKubeconfig(file: string, options: KubeconfigOptions): Promise<string> {
  const { server, authority, user, namespace = 'default' } = options;
  const credentials =
    'token' in user
      ? { token: user.token }
      : { 'client-certificate-data': await base64(user.certificate), 'client-key-data': await base64(user.key) };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'lab', cluster: { server, 'certificate-authority-data': await base64(authority) } }],
    users: [{ name: 'lab', user: credentials }],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab', namespace } }],
    'current-context': 'lab',
  };
  await writeFile(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  return file;
}

async function base64(file: string): Promise<string> {
  return (await readFile(file)).toString('base64');
}
