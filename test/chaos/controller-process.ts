/** The controller as a process of its own, which a test can stop, end or kill. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The program as it is shipped. */
export const PROGRAM: string = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** The program with the provider of the small cloud besides the shipped ones. */
export const PROGRAM_WITH_CLOUD: string = fileURLToPath(new URL('ballast.ts', import.meta.url));

export interface SpawnOptions {
  /** The file that composes the program; `PROGRAM` by default. */
  readonly program?: string;
  /** The flags of `ballast controller`. */
  readonly flags: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ControllerProcess {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** Lines of the log that hold the text. */
  linesAbout(text: string): readonly string[];
  /** Stops it in its tracks (SIGSTOP) until `resume`. */
  pause(): void;
  resume(): void;
  /** Asks it to end in order, and waits until it has. */
  terminate(): Promise<Exit>;
  /** Ends it as a crash would (SIGKILL), and waits until it has. */
  kill(): Promise<Exit>;
}

/**
 * Halves what a start costs. Node writes it when a process ends in order, so a process that is to be killed only reads
 * it: see `warmUp`.
 */
export const COMPILE_CACHE: string = join(ROOT, 'node_modules/.cache/ballast-compile');

/** Loads the program once and lets it end, so that the next starts are quick. */
export async function warmUp(program: string): Promise<void> {
  await spawnController({ program, flags: ['--kubeconfig', join(ROOT, 'there-is-no-such-file')] }).exited;
}

/** Starts `ballast controller` with nothing of the environment but the PATH. */
export function spawnController({ program = PROGRAM, flags }: SpawnOptions): ControllerProcess {
  const child = spawn(process.execPath, ['--conditions=source', program, 'controller', ...flags], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], NODE_NO_WARNINGS: '1', NODE_COMPILE_CACHE: COMPILE_CACHE },
  });
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
    exited,
    linesAbout: (about) => text.split('\n').filter((line) => line !== '' && line.includes(about)),
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    terminate: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}
