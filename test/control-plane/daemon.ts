import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { identifyProcess, type ProcessIdentity, signalProcess } from './process-identity.ts';
import { lastLines } from './run-command.ts';

export interface DaemonOptions {
  /** For messages. */
  readonly name: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Receives everything the daemon prints; a second start appends. */
  readonly logPath: string;
}

/** A child process that runs until it is told otherwise. */
export interface Daemon {
  readonly name: string;
  readonly identity: ProcessIdentity;
  isRunning(): boolean;
  /** The end of its log. */
  lastWords(lines?: number): string;
  signal(signal: NodeJS.Signals): void;
  /** Kills it and resolves when it is gone. The tests throw its data away, so a slow orderly end gains nothing. */
  kill(): Promise<void>;
}

/**
 * Starts the program in a session of its own: Ctrl-C in the terminal reaches only the test, which then ends its daemons
 * in the right order (or dies, and its janitor does).
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const log = openSync(options.logPath, 'a');
  let child: ChildProcess;
  try {
    child = spawn(options.path, options.args, {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', log, log],
      detached: true,
    });
  } finally {
    closeSync(log);
  }
  if (child.pid === undefined) {
    const [error] = await once(child, 'error');
    throw new Error(`${options.name} could not be started from ${options.path}`, { cause: error });
  }
  const identity = identifyProcess(child.pid) ?? { pid: child.pid, start: 'ended at once' };
  const exited = once(child, 'exit');
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  return {
    name: options.name,
    identity,
    isRunning,
    lastWords: (lines = 15) => lastLines(readFileSync(options.logPath, 'utf8'), lines),
    signal(signal) {
      signalProcess(identity, signal);
    },
    async kill() {
      if (!isRunning()) return;
      signalProcess(identity, 'SIGKILL');
      await exited;
    },
  };
}
