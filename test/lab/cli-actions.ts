import { spawn } from 'node:child_process';
import { formatSeconds } from '../control-plane/progress.ts';
import { findRemains } from './clear.ts';
import { formatStatus, labStatus } from './cli-status.ts';
import { listLabs } from './directory.ts';
import { LabError } from './errors.ts';
import { Lab, type LabOptions } from './lab.ts';
import type { LabNode } from './lab-node.ts';
import { provide } from './provide.ts';
import { readState } from './state.ts';
import { programEnvironment } from './system-path.ts';

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Gets everything that a lab needs and reports each step with its time. */
export async function buildAction(): Promise<void> {
  const startedAt = performance.now();
  await provide({ progress: say, verbose: true, signal: interruption() });
  say(`Everything is there, after ${since(startedAt)}`);
}

/** Makes a lab that stays, and says how to use it. */
export async function upAction(options: LabOptions): Promise<void> {
  const startedAt = performance.now();
  const lab = await Lab.up({ ...options, detached: true, progress: say, signal: interruption() });
  say(`Up after ${since(startedAt)}\n`);
  say(formatStatus(await labStatus(lab)));
  say(`\nTry: npm run lab -- kubectl --name ${lab.name} get nodes -o wide`);
  await lab.detach();
}

/** Takes down one lab, or all that are on this host. */
export async function downAction(name: string, all: boolean): Promise<void> {
  for (const lab of all ? await listLabs() : [name]) {
    const { processes, namespaces, cgroups, mounts } = await findRemains(lab);
    await Lab.clear(lab);
    const was = [processes, namespaces, cgroups, mounts].some(({ length }) => length > 0);
    say(was ? `Lab ${lab} is down: ended ${processes.length} processes` : `There was no lab ${lab}`);
  }
}

/** Shows one lab, or all. */
export async function statusAction(name: string | undefined, json: boolean): Promise<void> {
  const names = name === undefined ? await listLabs() : [name];
  const statuses = [];
  for (const each of names) {
    const state = await readState(each);
    if (state?.phase !== 'up') {
      if (!json) say(`Lab ${each}: not up; its start was killed, or is under way`);
      continue;
    }
    const lab = await Lab.attach(each);
    try {
      statuses.push(await labStatus(lab));
    } finally {
      await lab.detach();
    }
  }
  if (json) say(JSON.stringify(statuses, null, 2));
  else if (names.length === 0) say('There is no lab; `npm run lab -- up` makes one');
  else statuses.forEach((status) => say(formatStatus(status)));
}

/** Runs a command inside the lab on this terminal; its exit code becomes ours. A first `--` only sets it apart. */
export async function execAction(name: string, target: string, words: readonly string[]): Promise<void> {
  const command = words[0] === '--' ? words.slice(1) : words;
  await withLab(name, async (lab) => {
    const inside = await lab.inside(target, command.length > 0 ? command : ['bash']);
    await runHere(inside.command, inside.env);
  });
}

/** Runs the lab's kubectl on this terminal. */
export async function kubectlAction(name: string, args: readonly string[]): Promise<void> {
  await withLab(name, async (lab) => {
    const kubectl = lab.state.binaries['kubectl'];
    if (kubectl === undefined) throw new LabError(`Lab ${name} was made without kubectl`);
    await runHere([kubectl, ...args], { KUBECONFIG: lab.kubeconfigPath });
  });
}

/** Shows the end of a log and, when asked to, what comes; without a component: which there are. */
export async function logsAction(
  name: string,
  component: string | undefined,
  options: { readonly tail: number; readonly follow: boolean },
): Promise<void> {
  await withLab(name, async (lab) => {
    if (component === undefined) {
      say((await lab.components()).join('\n'));
      return;
    }
    const file = await lab.logFile(component);
    await runHere(['tail', '-n', String(options.tail), ...(options.follow ? ['-F'] : []), file], {});
  });
}

/** What can be done to a node, by its word on the command line. */
export const NODE_ACTIONS: Readonly<Record<string, (node: LabNode) => Promise<void>>> = {
  'cut-off': (node) => node.cutOff(),
  heal: (node) => node.heal(),
  pause: (node) => node.pause(),
  resume: (node) => node.resume(),
  crash: (node) => node.crash(),
  restart: (node) => node.restart({ signal: interruption() }),
  drain: (node) => node.drain({ signal: interruption() }),
  uncordon: (node) => node.uncordon(),
  remove: (node) => node.remove(),
};

/** Adds a node, or does something to one. */
export async function nodeAction(name: string, action: string, node: string | undefined): Promise<void> {
  await withLab(name, async (lab) => {
    const startedAt = performance.now();
    if (action === 'add') {
      const added = await lab.addNode({ signal: interruption() });
      say(`${added.name} is Ready, after ${since(startedAt)}`);
      return;
    }
    const act = NODE_ACTIONS[action];
    if (!act)
      throw new LabError(`Nobody can \`${action}\` a node; there are add, ${Object.keys(NODE_ACTIONS).join(', ')}`);
    if (node === undefined) throw new LabError(`Name the node to ${action}: n1, for example`);
    await act(lab.node(node));
    say(`${action} ${node}: done, after ${since(startedAt)}`);
  });
}

async function withLab(name: string, work: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = await Lab.attach(name);
  try {
    await work(lab);
  } finally {
    await lab.detach();
  }
}

/** Runs a command with this process's streams; Ctrl-C is the command's own matter. */
async function runHere(command: readonly string[], env: Readonly<Record<string, string>>): Promise<void> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: 'inherit', env: programEnvironment(env) });
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  try {
    process.exitCode = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? 1));
    });
  } finally {
    process.off('SIGINT', ignore);
  }
}

/** Aborts on Ctrl-C or SIGTERM, so that what was begun is taken back. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => controller.abort(new LabError('Interrupted')));
  }
  return controller.signal;
}

function since(startedAt: number): string {
  return formatSeconds((performance.now() - startedAt) / 1_000);
}
