import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { addressesOf, nodeHost } from './addresses.ts';
import { CNI_PLUGINS, NODE_PROGRAMS } from './binaries.ts';
import type { LabContext } from './context.ts';
import { type NodeDirectory, snapshotterFor } from './directory.ts';
import { nodeConfigFiles, type NodeConfigInput } from './node-config.ts';
import { type BoundProgram, SHADOWED_SYSCTLS } from './node-init.ts';
import type { NodeRecord } from './state.ts';

/** Makes a node's files; it keeps them until it is removed, over crashes and restarts. */
export async function prepareNode(context: LabContext, index: number): Promise<NodeRecord> {
  const name = `n${index}`;
  const addresses = addressesOf(context.families, 'nodes', nodeHost(index));
  const record: NodeRecord = { name, index, addresses, link: 'up', paused: false };
  // Known before anything of it exists, so that nobody else takes the name.
  await context.store.putNode(record);
  const folder = context.directory.node(name);
  for (const path of ['lib', 'log', 'tmp', 'cache']) await mkdir(join(folder.var, path), { recursive: true });
  await mkdir(folder.tmp, { recursive: true });
  await chmod(folder.tmp, 0o1777); // mkdir leaves out what the umask takes away.
  await symlink('/run', join(folder.var, 'run'));
  await writeFiles(folder.files, {
    ...nodeConfigFiles(await configInput(context, record)),
    ...Object.fromEntries(Object.entries(SHADOWED_SYSCTLS).map(([path, value]) => [`sysctl/${path}`, `${value}\n`])),
    // Something to bind the programs over.
    ...Object.fromEntries(boundPrograms(context).map((program) => [`${program.folder}/${program.name}`, ''])),
  });
  // runc runs from an overlay mount of its own folder, which shows the files of the folder and not what is bound there.
  await copyFile(context.binary('runc'), join(folder.files, 'bin', 'runc'), constants.COPYFILE_FICLONE);
  await giveCredentials(context, name);
  await mkdir(imageFolder(folder));
  for (const image of context.store.state.images) await placeImage(folder, image);
  return record;
}

/** The one kubeconfig of all kube-proxies; made with the lab. */
export function kubeProxyKubeconfig({ directory }: Pick<LabContext, 'directory'>): string {
  return join(directory.pki, 'kube-proxy.kubeconfig');
}

/** What a node's configuration depends on. */
export async function configInput(context: LabContext, record: NodeRecord): Promise<NodeConfigInput> {
  const { name: lab, families, directory, store } = context;
  const { name, index, addresses } = record;
  const snapshotter = await snapshotterFor(directory.path);
  return { lab, name, index, families, addresses, proxyMode: store.state.proxyMode, snapshotter };
}

/** The programs that are bound into a node, and where they lie on the host. */
export function boundPrograms({ binary }: LabContext): readonly BoundProgram[] {
  return [
    ...NODE_PROGRAMS.map((name) => ({ name, folder: 'bin', source: binary(name) }) as const),
    ...CNI_PLUGINS.map((name) => ({ name, folder: 'cni-bin', source: binary(name) }) as const),
  ];
}

/** Puts an archive where the node's first process looks for images when it boots. Returns its path in the folder. */
export async function placeImage(folder: NodeDirectory, archive: string): Promise<string> {
  const target = join(imageFolder(folder), basename(archive));
  // A copy that shares its blocks with the original, where the file system can.
  await copyFile(archive, target, constants.COPYFILE_FICLONE);
  return target;
}

function imageFolder(folder: NodeDirectory): string {
  return join(folder.files, 'images');
}

async function giveCredentials(context: LabContext, name: string): Promise<void> {
  const { credentials, directory } = context;
  const target = (file: string): string => join(directory.node(name).files, file);
  await credentials.kubeconfigFor(`system:node:${name}`, target('kubelet.kubeconfig'), 'system:nodes');
  await copyFile(kubeProxyKubeconfig(context), target('kube-proxy.kubeconfig'));
  await copyFile(credentials.authority.certificate, target('ca.crt'));
}

async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}
