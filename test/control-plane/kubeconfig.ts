import { readFile, writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';

export interface KubeconfigOptions {
  /** `https://127.0.0.1:6443`. */
  readonly server: string;
  /** PEM file of the authority that signed the server's certificate; its content goes into the kubeconfig. */
  readonly caPath: string;
  readonly token: string;
  /** Namespace of commands that name none; default `default`. */
  readonly namespace?: string;
}

/** Writes a kubeconfig that stands alone (no paths in it) and that only this user may read. */
export async function writeKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  const authority = await readFile(options.caPath);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'test',
        cluster: { server: options.server, 'certificate-authority-data': authority.toString('base64') },
      },
    ],
    users: [{ name: 'test', user: { token: options.token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: options.namespace ?? 'default' } }],
    'current-context': 'test',
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
}
