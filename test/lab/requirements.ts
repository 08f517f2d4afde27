import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { detectCgroups, NEEDED_CONTROLLERS } from './cgroups.ts';
import { LabError } from './errors.ts';
import { run } from './run.ts';

/** Why this host cannot run a lab, and what would help. */
interface Obstacle {
  readonly problem: string;
  readonly remedy: string;
}

const OTHER_CLUSTER = 'use kind or any other cluster instead, as docs/lab.md shows';

/** Throws where no lab can ever run, or only after another start of this process. Needs no programs. */
export function requireRootOnLinux(): void {
  if (process.platform !== 'linux') {
    refuse([{ problem: `This is ${process.platform}, and nodes are made of Linux namespaces`, remedy: OTHER_CLUSTER }]);
  }
  if (process.getuid?.() !== 0) {
    refuse([
      { problem: 'This process is not root, so it may not make network namespaces', remedy: 'run it as root (sudo)' },
    ]);
  }
}

/** Tries out what a lab needs of the kernel and throws an error that names everything that failed. */
export async function requireKernel(): Promise<void> {
  refuse([...(await namespaceObstacles()), ...(await cgroupObstacles())]);
}

function refuse(obstacles: readonly Obstacle[]): void {
  if (obstacles.length === 0) return;
  const lines = obstacles.map(({ problem, remedy }) => `- ${problem}: ${remedy}.`);
  throw new LabError(`This host cannot run a lab:\n${lines.join('\n')}`);
}

interface Trial {
  readonly what: string;
  readonly script: string;
}

const NAMESPACES: Trial = { what: 'network, mount, process, host name and IPC namespaces', script: 'true' };
/** What a lab asks of the kernel, each tried out in a namespace that ends with the trial. */
const TRIALS: readonly Trial[] = [
  { what: 'a bridge', script: 'ip link add b0 type bridge' },
  { what: 'a pair of virtual Ethernet devices', script: 'ip link add v0 type veth peer name v1' },
  { what: 'a packet filter (nf_tables)', script: 'nft add table inet trial' },
  { what: 'a tmpfs mount', script: 'mount -t tmpfs tmpfs /mnt' },
];
const TRIAL = ['unshare', '--net', '--mount', '--uts', '--ipc', '--pid', '--fork', '--mount-proc', 'sh', '-c'] as const;

async function namespaceObstacles(): Promise<readonly Obstacle[]> {
  const without = await tryOut(NAMESPACES);
  if (without) return [without]; // Nothing else can be tried then.
  const obstacles = await Promise.all(TRIALS.map(tryOut));
  return obstacles.filter((obstacle) => obstacle !== undefined);
}

async function tryOut({ what, script }: Trial): Promise<Obstacle | undefined> {
  const { code, stderr } = await run([...TRIAL, script], { check: false });
  if (code === 0) return undefined;
  return {
    problem: `This process cannot make ${what} (${stderr.trim().split('\n').at(-1) ?? 'no reason given'})`,
    remedy: `in a container, run it privileged; otherwise load the kernel's module, or ${OTHER_CLUSTER}`,
  };
}

async function cgroupObstacles(): Promise<readonly Obstacle[]> {
  const cgroups = await detectCgroups();
  if (!cgroups) {
    return [
      { problem: 'No cgroup file system is mounted at /sys/fs/cgroup', remedy: `mount one, or ${OTHER_CLUSTER}` },
    ];
  }
  const missing = NEEDED_CONTROLLERS[cgroups.version].filter((name) => !cgroups.controllers.has(name));
  const readOnly = await firstReadOnly(cgroups.roots);
  return [
    ...(missing.length === 0
      ? []
      : [
          {
            problem: `cgroup version ${cgroups.version} has no controller ${missing.join(', ')} here`,
            remedy: `enable it in the kernel's command line, or ${OTHER_CLUSTER}`,
          },
        ]),
    ...(readOnly === undefined
      ? []
      : [{ problem: `${readOnly} is read-only`, remedy: `in a container, run it privileged, or ${OTHER_CLUSTER}` }]),
  ];
}

async function firstReadOnly(roots: readonly string[]): Promise<string | undefined> {
  for (const root of roots) {
    try {
      await access(root, constants.W_OK);
    } catch {
      return root;
    }
  }
  return undefined;
}
