import { readdir, readFile } from 'node:fs/promises';
import { delimiter } from 'node:path';
import type { LabContext } from './context.ts';
import { LabError } from './errors.ts';
import { CONTROL_PLANE, FABRIC, ROUTER } from './names.ts';
import { inNamespace } from './network.ts';
import { CONTAINERD_SOCKET, NODE_CNI_FOLDER, NODE_PROGRAM_FOLDER } from './node-config.ts';
import { programFolders } from './system-path.ts';

/** A command that runs inside the lab, and the environment it wants on top of this process's own. */
export interface InsideCommand {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Everything that a command can run in: nodes, machines, and the lab's own parts. */
function insideTargets({ store }: LabContext): readonly string[] {
  const { nodes, machines } = store.state;
  return [...[...nodes, ...machines].map(({ name }) => name), CONTROL_PLANE, ROUTER, FABRIC];
}

/**
 * Wraps a command so that it runs on a node, among its daemons, with their processes, files and network; or on a
 * machine, the control plane, the router or the fabric, which have only a network of their own.
 */
export async function insideCommand(
  context: LabContext,
  target: string,
  command: readonly string[],
): Promise<InsideCommand> {
  const node = context.store.state.nodes.find(({ name }) => name === target);
  if (!node) {
    const targets = insideTargets(context);
    if (targets.includes(target)) return { command: inNamespace(context.name, target, command), env: {} };
    throw new LabError(`Lab ${context.name} has no \`${target}\`; it has ${targets.join(', ')}`);
  }
  if (!node.keeper) throw new LabError(`Node ${target} is off; restart it first`);
  const first = await childOf(node.keeper.pid);
  if (first === undefined) throw new LabError(`Node ${target} has ended by itself; see the log \`init-${target}\``);
  const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid'];
  return {
    command: ['nsenter', `--target=${first}`, ...namespaces, '--', ...command],
    env: {
      PATH: [NODE_PROGRAM_FOLDER, ...programFolders()].join(delimiter),
      CONTAINERD_ADDRESS: CONTAINERD_SOCKET,
      CONTAINERD_NAMESPACE: 'k8s.io',
      CNI_PATH: NODE_CNI_FOLDER,
    },
  };
}

/** The child of a process: proc_pid_stat(5), field 4. */
async function childOf(parent: number): Promise<number | undefined> {
  for (const pid of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
      if (stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(parent)) return Number(pid);
    } catch {
      // It ended while we looked.
    }
  }
  return undefined;
}
