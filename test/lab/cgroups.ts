import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LabError } from './errors.ts';
import { cgroupName, labPrefix } from './names.ts';
import { waitFor } from './wait.ts';

/** The cgroup hierarchies of this host, as they are mounted. */
export interface Cgroups {
  /** 2: one unified hierarchy. 1: one per controller, and perhaps a unified one that only tracks processes. */
  readonly version: 1 | 2;
  /** Mount point of every hierarchy. */
  readonly roots: readonly string[];
  /** Mount point by controller (`memory`, `freezer`, …); all the same one in version 2. */
  readonly controllers: ReadonlyMap<string, string>;
}

/** The controllers that kubelet and runc cannot do without; version 1 has its freezer and devices as controllers too. */
export const NEEDED_CONTROLLERS: Readonly<Record<1 | 2, readonly string[]>> = {
  1: ['cpu', 'cpuacct', 'cpuset', 'memory', 'pids', 'devices', 'freezer'],
  2: ['cpu', 'cpuset', 'memory', 'pids'],
};

/** Finds the hierarchies; undefined where no cgroup file system is mounted. */
export async function detectCgroups(): Promise<Cgroups | undefined> {
  const cgroups = parseCgroupMounts(await readFile('/proc/self/mountinfo', 'utf8'));
  const [root] = cgroups?.roots ?? [];
  if (cgroups?.version !== 2 || root === undefined) return cgroups;
  const names = (await readFile(join(root, 'cgroup.controllers'), 'utf8')).trim().split(' ').filter(Boolean);
  return { ...cgroups, controllers: new Map(names.map((name) => [name, root])) };
}

/** What /proc/self/mountinfo tells; the controllers of version 2 are not in it. Format: proc_pid_mountinfo(5). */
export function parseCgroupMounts(mountinfo: string): Cgroups | undefined {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [type = '', , options = ''] = after.split(' ');
    const root = before.split(' ')[4];
    const isOurs = root !== undefined && root.startsWith('/sys/fs/cgroup') && type.startsWith('cgroup');
    return isOurs ? [{ root, type, options: options.split(',') }] : [];
  });
  const roots = mounts.map(({ root }) => root);
  const legacy = mounts.filter(({ type }) => type === 'cgroup');
  if (roots.length === 0) return undefined;
  if (legacy.length === 0) return { version: 2, roots: roots.slice(0, 1), controllers: new Map() };
  const controllers = legacy.flatMap(({ root, options }) => options.map((name) => [name, root] as const));
  return { version: 1, roots, controllers: new Map(controllers) };
}

/** The cgroup of a node's own daemons, below the node's. */
const DAEMONS = 'daemons';

/** Makes a node's cgroup and the one of its daemons in every hierarchy. Returns the latter's folders. */
export async function createNodeCgroup(cgroups: Cgroups, lab: string, node: string): Promise<readonly string[]> {
  const folders: string[] = [];
  for (const root of cgroups.roots) {
    const folder = join(root, cgroupName(lab, node));
    await mkdir(folder, { recursive: true });
    if (cgroups.version === 2) await delegate(root, folder);
    if (root === cgroups.controllers.get('cpuset') && cgroups.version === 1) await inheritCpuset(root, folder);
    const daemons = join(folder, DAEMONS);
    await mkdir(daemons, { recursive: true });
    if (root === cgroups.controllers.get('cpuset') && cgroups.version === 1) await inheritCpuset(folder, daemons);
    folders.push(daemons);
  }
  return folders;
}

/** A version 1 cpuset starts out empty, and an empty one takes no process. */
async function inheritCpuset(from: string, to: string): Promise<void> {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    await writeFile(join(to, file), await readFile(join(from, file), 'utf8'));
  }
}

/** In version 2 a cgroup's children have a controller only when every cgroup above hands it down. */
async function delegate(root: string, folder: string): Promise<void> {
  const wanted = NEEDED_CONTROLLERS[2].map((name) => `+${name}`).join(' ');
  for (const parent of [root, folder]) {
    try {
      await writeFile(join(parent, 'cgroup.subtree_control'), wanted);
    } catch (error) {
      throw new LabError(
        `Cannot hand the cgroup controllers ${wanted} down from ${parent}. In a container, its root cgroup must hold ` +
          'no processes itself (as systemd or the entry point of kind arrange it); on a machine, systemd must be its init',
        { cause: error },
      );
    }
  }
}

/** Stops or continues all processes of a node at once, its pods' included. */
export async function setFrozen(cgroups: Cgroups, lab: string, node: string, frozen: boolean): Promise<void> {
  const folder = join(freezerRoot(cgroups), cgroupName(lab, node));
  await freeze(cgroups, folder, frozen);
}

function freezerRoot(cgroups: Cgroups): string {
  const root = cgroups.controllers.get(cgroups.version === 2 ? 'memory' : 'freezer');
  if (root === undefined) throw new LabError('This host has no cgroup freezer, so nodes cannot be paused');
  return root;
}

/** `Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst` and `cgroup-v2.rst` of the kernel. */
async function freeze(cgroups: Cgroups, folder: string, frozen: boolean): Promise<void> {
  const [file, on, off] =
    cgroups.version === 2 ? (['cgroup.freeze', '1', '0'] as const) : (['freezer.state', 'FROZEN', 'THAWED'] as const);
  await writeFile(join(folder, file), frozen ? on : off);
  await waitFor({
    what: `${folder} to be ${frozen ? 'frozen' : 'thawed'}`,
    timeoutMs: 5_000,
    intervalMs: 20,
    check: async () => {
      const state =
        cgroups.version === 2
          ? /frozen 1/.test(await readFile(join(folder, 'cgroup.events'), 'utf8'))
          : (await readFile(join(folder, file), 'utf8')).trim() === on;
      return state === frozen || undefined;
    },
  });
}

/** The folders of a lab's nodes (or of one node) in every hierarchy, also those that a killed run left. */
export async function labCgroups(cgroups: Cgroups, lab: string, node?: string): Promise<readonly string[]> {
  const folders: string[] = [];
  for (const root of cgroups.roots) {
    const belongs = (name: string): boolean =>
      node === undefined ? name.startsWith(labPrefix(lab)) : name === cgroupName(lab, node);
    folders.push(...(await childrenOf(root)).filter(belongs).map((name) => join(root, name)));
  }
  return folders;
}

/** Lets frozen processes go on: in version 1 not even SIGKILL reaches them before. */
export async function thaw(cgroups: Cgroups, folders: readonly string[]): Promise<void> {
  const file = cgroups.version === 2 ? 'cgroup.freeze' : 'freezer.state';
  for (const folder of folders) {
    if (existsSync(join(folder, file))) await freeze(cgroups, folder, false);
  }
}

/** All processes in these cgroups and below. */
export async function cgroupProcesses(folders: readonly string[]): Promise<ReadonlySet<number>> {
  const pids = new Set<number>();
  for (const folder of folders) {
    for (const line of (await readOrEmpty(join(folder, 'cgroup.procs'))).split('\n')) {
      if (line !== '') pids.add(Number(line));
    }
    const below = (await childrenOf(folder)).map((name) => join(folder, name));
    for (const pid of await cgroupProcesses(below)) pids.add(pid);
  }
  return pids;
}

/** Removes these cgroups and those below; their processes must be gone. */
export async function removeCgroups(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    await removeCgroups((await childrenOf(folder)).map((name) => join(folder, name)));
    await waitFor({
      what: `cgroup ${folder} to be empty`,
      timeoutMs: 5_000,
      intervalMs: 20,
      check: async () => {
        if (existsSync(folder)) await rmdir(folder);
        return true;
      },
    });
  }
}

async function childrenOf(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    return []; // The kernel may remove it while we look.
  }
}

async function readOrEmpty(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return '';
  }
}
