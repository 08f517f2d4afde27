/** The real controller as a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { freePort } from '#test/control-plane/free-port';
import type { Cluster } from './cluster.ts';
import { waitFor } from './wait.ts';

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export interface ControllerOptions {
  /** More flags, after ours, so that they win. */
  readonly flags?: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Controller {
  readonly pid: number;
  /** `http://127.0.0.1:PORT` with `/metrics` and `/readyz`. */
  readonly url: string;
  readonly exited: Promise<Exit>;
  /** Lines of the log that hold the text. */
  linesAbout(text: string): readonly string[];
  /** Stops it in its tracks (SIGSTOP) until `resume`. */
  pause(): void;
  resume(): void;
  /** Asks it to end in order, and waits until it has. */
  terminate(): Promise<Exit>;
  /** Ends it as a crash would. */
  kill(): Promise<Exit>;
}

/** Tests of one machine share 127.0.0.0/8, so each controller process of a test run has a network of its own there. */
let networks = 0;
function nextNetwork(): string {
  networks += 1;
  return `127.${32 + (process.pid % 64)}.${networks}`;
}

/** A pool of 200 addresses that no other test uses. */
export function newPool(): string {
  const network = nextNetwork();
  return `${network}.1-${network}.200`;
}

/** Starts the controller against the cluster, with the proxy provider on addresses of loopback; resolves when it is ready. */
export async function startController(cluster: Cluster, options: ControllerOptions = {}): Promise<Controller> {
  const port = await freePort();
  const flags = [
    ['--kubeconfig', cluster.plane.kubeconfigPath],
    ['--proxy-addresses', newPool()],
    ['--metrics-bind-address', `127.0.0.1:${port}`],
    ['--leader-elect', 'false'],
    ['--default-provider', 'proxy'],
    ['--log-level', 'debug'],
    ['--shutdown-timeout', '2s'],
    ['--proxy-shutdown-timeout', '1s'],
  ].flat();
  const child = spawn(
    process.execPath,
    ['--conditions=source', '--enable-source-maps', MAIN, 'controller', ...flags, ...(options.flags ?? [])],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'], NODE_NO_WARNINGS: '1' } },
  );
  const controller = follow(child, `http://127.0.0.1:${port}`);
  cluster.adopt(controller);
  await untilReady(controller);
  return controller;
}

/** Waits until `/readyz` says that it works or follows. */
async function untilReady(controller: Controller): Promise<void> {
  const log = (): string => `\nlog:\n${controller.linesAbout('').slice(-20).join('\n')}`;
  const ended = controller.exited.then((exit) => {
    throw new Error(`the controller has ended before it was ready: ${JSON.stringify(exit)}${log()}`);
  });
  const ready = waitFor(
    `${controller.url}/readyz to answer 200`,
    async () => {
      const { ok } = await fetch(`${controller.url}/readyz`, { signal: AbortSignal.timeout(1_000) });
      return ok ? true : undefined;
    },
    { hint: log },
  );
  await Promise.race([ready, ended]);
}

function follow(child: ChildProcess, url: string): Controller {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  }
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const end = (signal: NodeJS.Signals): Promise<Exit> => {
    child.kill(signal);
    return exited;
  };
  return {
    pid: child.pid ?? 0,
    url,
    exited,
    linesAbout: (about) => text.split('\n').filter((line) => line !== '' && line.includes(about)),
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    terminate: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}
