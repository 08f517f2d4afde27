/** The programs that are measured, each a process that gives Services of type LoadBalancer an address. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ControlPlane } from '#test/control-plane/control-plane';
import { freePort } from '#test/control-plane/free-port';
import { until } from './until.ts';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

export interface Subject {
  /** As it stands in the report. */
  readonly name: string;
  /** What it needs of the cluster, once. */
  prepare?(plane: ControlPlane): Promise<void>;
  start(plane: ControlPlane): Promise<RunningSubject>;
}

export interface RunningSubject {
  readonly pid: number;
  /** `performance.now()` when the process was spawned. */
  readonly spawnedAt: number;
  /** Resolves, with when that was, once the process says that it is ready; undefined where it says no such thing. */
  readonly ready?: Promise<number>;
  /** Asks it to end in order, and waits until it has. */
  stop(): Promise<void>;
}

/** A Ballast that runs. */
export interface RunningBallast extends RunningSubject {
  readonly ready: Promise<number>;
  /** A metric's sum over all series with these labels (`name="value"` texts); 0 for none. */
  readonly metric: (name: string, ...labels: readonly string[]) => Promise<number>;
}

export interface ProcessOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly plane: ControlPlane;
}

/** Runs a program until it is stopped; what it writes goes to a file, which is the cheapest for it and for us. */
export function run({ name, command, args, env = {}, plane }: ProcessOptions): RunningSubject {
  const logPath = join(plane.logFolder, `${name}-${Date.now()}.log`);
  const log = openSync(logPath, 'w');
  const spawnedAt = performance.now();
  const child = spawn(command, args, {
    cwd: plane.logFolder,
    stdio: ['ignore', log, log],
    env: { PATH: process.env['PATH'], HOME: plane.logFolder, NODE_NO_WARNINGS: '1', ...env },
  });
  closeSync(log);
  let stopping = false;
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', (code, signal) => {
      if (!stopping) process.stderr.write(`${name} ended by itself (${signal ?? code}); its log is ${logPath}\n`);
      resolve();
    });
  });
  return {
    pid: child.pid ?? 0,
    spawnedAt,
    async stop() {
      stopping = true;
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(late);
    },
  };
}

export interface Ballast extends Subject {
  start(plane: ControlPlane): Promise<RunningBallast>;
}

export interface BallastOptions {
  /** More flags of the controller. */
  readonly flags?: readonly string[];
  /** More flags of Node.js: `--cpu-prof`. */
  readonly nodeFlags?: readonly string[];
}

/** As `manifests/controller/deployment.yaml` sets it; the heap is bounded as Node bounds it by the pod's 512 MiB. */
const MEMORY_SETTINGS = { NODE_OPTIONS: '--max-semi-space-size=4 --max-old-space-size=268', MALLOC_ARENA_MAX: '2' };

/** Ballast as shipped (`dist/`), with the proxy provider that only gives addresses. RFC 2544 keeps 198.18.0.0/15 for tests. */
export function ballast({ flags = [], nodeFlags = [] }: BallastOptions = {}): Ballast {
  return {
    name: 'ballast',
    async start(plane) {
      const port = await freePort();
      const all = [
        ['--kubeconfig', plane.kubeconfigPath],
        ['--default-provider', 'proxy'],
        ['--proxy-listen', 'false'],
        ['--proxy-addresses', '198.18.0.0/16'],
        ['--metrics-bind-address', `127.0.0.1:${port}`],
        flags,
      ].flat();
      const program = join(ROOT, 'dist/src/main.js');
      const running = run({
        name: 'ballast',
        command: process.execPath,
        args: [...nodeFlags, program, 'controller', ...all],
        // The second start on a control plane finds its code compiled.
        env: { ...MEMORY_SETTINGS, NODE_COMPILE_CACHE: join(plane.logFolder, 'compile-cache') },
        plane,
      });
      const url = `http://127.0.0.1:${port}`;
      const ready = untilReady(`${url}/readyz`);
      // Who does not care need not hear that it never was.
      ready.catch(() => {});
      return { ...running, ready, metric: (name, ...labels) => metricOf(url, name, labels) };
    },
  };
}

async function untilReady(url: string): Promise<number> {
  await until(`${url} to answer 200`, () =>
    fetch(url, { signal: AbortSignal.timeout(1_000) }).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return performance.now();
}

async function metricOf(url: string, name: string, labels: readonly string[]): Promise<number> {
  const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(10_000) });
  const lines = (await answer.text()).split('\n');
  return lines
    .filter((line) => new RegExp(`^${name}[{ ]`).test(line) && labels.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** What the API server allows: a client that watches Services and writes a made-up status at once, and does nothing else. */
export const IDEAL: Subject = {
  name: 'bare client',
  async start(plane) {
    const program = join(ROOT, 'test/bench/bare-client.ts');
    const token = plane.adminToken;
    const env = { API_URL: plane.url, API_TOKEN: token, NODE_EXTRA_CA_CERTS: plane.caPath };
    return run({ name: 'bare-client', command: process.execPath, args: ['--conditions=source', program], env, plane });
  },
};

/** The first line of a file that says which processor this is. */
export async function processorName(): Promise<string> {
  const text = await readFile('/proc/cpuinfo', 'utf8');
  return /^model name\s*:\s*(.+)$/m.exec(text)?.[1] ?? 'unknown processor';
}
