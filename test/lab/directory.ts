import { existsSync } from 'node:fs';
import { mkdir, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';

const OVERLAYFS_MAGIC = 0x794c7630;

/**
 * Where labs keep their files: `BALLAST_LAB_ROOT`, else `/var/lib/ballast-lab`. Not below /run: containerd unpacks
 * images there, which belong neither into memory nor, where that can be helped, on an overlay file system.
 */
export function labRoot(): string {
  return process.env['BALLAST_LAB_ROOT'] || '/var/lib/ballast-lab';
}

/** The labs that have files on this host, whether they run or a killed run left them. */
export async function listLabs(): Promise<readonly string[]> {
  if (!existsSync(labRoot())) return [];
  const entries = await readdir(labRoot(), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

/** The files of one lab. */
export class LabDirectory {
  readonly path: string;

  constructor(lab: string) {
    this.path = join(labRoot(), lab);
  }

  get state(): string {
    return join(this.path, 'state.json');
  }
  /** kubeconfig of an administrator on the host. */
  get kubeconfig(): string {
    return join(this.path, 'kubeconfig');
  }
  /** kubeconfig of an administrator in a namespace of the lab. */
  get inside(): string {
    return join(this.path, 'kubeconfig-inside');
  }
  /** kubectl's cache of what the API server serves; the user's own cache has no use for it. */
  get kubectlCache(): string {
    return join(this.path, 'kubectl-cache');
  }
  get pki(): string {
    return join(this.path, 'pki');
  }
  get logs(): string {
    return join(this.path, 'logs');
  }

  /** Log of a part of the control plane, or of a process started in a machine. */
  log(component: string): string {
    return join(this.logs, `${component}.log`);
  }

  /** What a node sees as /var, and its other private files. */
  node(name: string): NodeDirectory {
    return new NodeDirectory(join(this.path, name));
  }

  /** Makes the folders; only root may look into them, because there are keys. */
  async create(): Promise<void> {
    await mkdir(labRoot(), { recursive: true, mode: 0o755 });
    for (const folder of [this.path, this.pki, this.logs]) await mkdir(folder, { recursive: true, mode: 0o700 });
  }
}

/** The files of one node, as they lie on the host. */
export class NodeDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Becomes the node's /var. */
  get var(): string {
    return join(this.path, 'var');
  }
  /** Becomes the node's /tmp. */
  get tmp(): string {
    return join(this.files, 'tmp');
  }
  /** What the node's daemons read; in the node at `NODE_FILES`. */
  get files(): string {
    return join(this.var, 'lib', 'lab');
  }
  get init(): string {
    return join(this.path, 'init.sh');
  }

  /** Log of a daemon of the node; `init` is the one of the script that starts them. */
  log(daemon: string): string {
    return join(this.var, 'log', `${daemon}.log`);
  }
}

/** Where a node's daemons find `NodeDirectory.files`. */
export const NODE_FILES = '/var/lib/lab';

/** The containerd snapshotter that works on the file system below this folder: overlayfs cannot lie on itself. */
export async function snapshotterFor(folder: string): Promise<'overlayfs' | 'native'> {
  const { type } = await statfs(folder);
  return type === OVERLAYFS_MAGIC ? 'native' : 'overlayfs';
}
