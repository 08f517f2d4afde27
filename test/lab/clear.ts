import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { signalProcess } from '../control-plane/process-identity.ts';
import { cgroupProcesses, detectCgroups, labCgroups, removeCgroups, thaw } from './cgroups.ts';
import { LabDirectory } from './directory.ts';
import { NAMESPACE_FOLDER } from './names.ts';
import { labNamespaces } from './network.ts';
import { run } from './run.ts';
import { readState } from './state.ts';
import { waitFor } from './wait.ts';

const GONE_WITHIN_MS = 15_000;

/** What of a lab is still on the host. */
export interface Remains {
  readonly processes: readonly number[];
  readonly namespaces: readonly string[];
  readonly cgroups: readonly string[];
  /** Mount points below the lab's folder, in this process's view. */
  readonly mounts: readonly string[];
}

/** Looks for everything of a lab by its names and memberships, so that it also finds what a killed run left. */
export async function findRemains(lab: string): Promise<Remains> {
  const namespaces = await labNamespaces(lab);
  const cgroups = await detectCgroups();
  const folders = cgroups ? await labCgroups(cgroups, lab) : [];
  const pids = new Set([...(await namespaceProcesses(namespaces)), ...(await cgroupProcesses(folders))]);
  pids.delete(process.pid);
  return { processes: [...pids], namespaces, cgroups: folders, mounts: await mountsBelow(new LabDirectory(lab).path) };
}

/**
 * Ends and removes everything of a lab and nothing else: processes that are members of its network namespaces or
 * cgroups or that it noted with their start, then the namespaces, mounts, cgroups and files. Fine when there is nothing.
 */
export async function clearLab(lab: string): Promise<void> {
  const state = await readState(lab);
  const cgroups = await detectCgroups();
  if (cgroups) await thaw(cgroups, await labCgroups(cgroups, lab));
  for (const { process: identity } of state?.processes ?? []) signalProcess(identity, 'SIGKILL');
  const left = await waitFor({
    what: `the processes of lab ${lab} to end`,
    timeoutMs: GONE_WITHIN_MS,
    intervalMs: 20,
    check: async () => {
      // What was about to start others when it was killed may have done so: look until nobody is left.
      const remains = await findRemains(lab);
      remains.processes.forEach(kill);
      return remains.processes.length === 0 ? remains : undefined;
    },
  });
  for (const namespace of left.namespaces) await run(['ip', 'netns', 'del', namespace]);
  // The deepest first; lazily, because nothing may hold the removal up.
  for (const mount of left.mounts.toSorted().toReversed()) await run(['umount', '--lazy', mount]);
  await removeCgroups(left.cgroups);
  await rm(new LabDirectory(lab).path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** Ends every process of one node, its pods' included; its first process takes them along. */
export async function killNode(lab: string, node: string): Promise<void> {
  const cgroups = await detectCgroups();
  const folders = cgroups ? await labCgroups(cgroups, lab, node) : [];
  if (cgroups) await thaw(cgroups, folders);
  await waitFor({
    what: `the processes of node ${node} to end`,
    timeoutMs: GONE_WITHIN_MS,
    intervalMs: 20,
    check: async () => {
      const pids = await cgroupProcesses(folders);
      pids.forEach(kill);
      return pids.size === 0 || undefined;
    },
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/** The processes whose network namespace is one of these. */
async function namespaceProcesses(names: readonly string[]): Promise<readonly number[]> {
  const inodes = new Set<bigint>();
  for (const name of names) {
    // A plain file is a namespace that was never bound, or no longer is: it has no members.
    const inode = await inodeOf(join(NAMESPACE_FOLDER, name));
    if (inode !== undefined) inodes.add(inode);
  }
  if (inodes.size === 0) return [];
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const members = await Promise.all(
    pids.map(async (pid) => {
      const inode = await inodeOf(`/proc/${pid}/ns/net`);
      return inode !== undefined && inodes.has(inode) ? [Number(pid)] : [];
    }),
  );
  return members.flat();
}

async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch {
    return undefined;
  }
}

/** proc_pid_mountinfo(5): field 5 is the mount point, with blanks written as octal. */
async function mountsBelow(folder: string): Promise<readonly string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines.flatMap((line) => {
    const point = (line.split(' ')[4] ?? '').replaceAll('\\040', ' ');
    return point.startsWith(`${folder}/`) ? [point] : [];
  });
}
