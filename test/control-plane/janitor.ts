import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { destroyDataFolder } from './data-folder.ts';

/** A process that outlives this one and clears the data folder when this one ends, however it ends. */
export interface Janitor {
  readonly pid: number;
  /** Lets the janitor do its work now and go; resolves when it has gone. */
  finish(): Promise<void>;
}

/**
 * Starts the janitor of a folder. It notices our end by the closing of a pipe, which the kernel does even for a killed
 * process, and it has a session of its own, so that Ctrl-C in the terminal does not end it before its work is done.
 */
export function startJanitor(folder: string): Janitor {
  const self = fileURLToPath(import.meta.url);
  const child: ChildProcess = spawn(process.execPath, [self, folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  const { pid, stdin } = child;
  if (pid === undefined || !stdin) throw new Error('Could not start the process that clears up after a killed test');
  stdin.on('error', () => undefined);
  return {
    pid,
    async finish() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      stdin.end();
      await gone;
    },
  };
}

/** The janitor itself: waits for the pipe to close. */
async function main(folder: string): Promise<void> {
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  process.stdin.resume();
  await once(process.stdin, 'end');
  await destroyDataFolder(folder);
}

if (import.meta.main) {
  const folder = process.argv[2];
  if (folder === undefined) throw new Error('usage: janitor.ts FOLDER');
  await main(folder);
}
