import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { identifyProcess, type ProcessIdentity } from '../control-plane/process-identity.ts';
import { LabError } from './errors.ts';
import { programEnvironment } from './system-path.ts';
import { tail } from './wait.ts';

export interface DaemonOptions {
  readonly command: readonly string[];
  /** Gets what it writes, appended. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly directory?: string;
}

/** Starts a process that outlives this one, in a session of its own. It ends with its lab, which keeps its identity. */
export async function startDaemon({ command, logFile, env, directory }: DaemonOptions): Promise<ProcessIdentity> {
  const [program = '', ...args] = command;
  const log = openSync(logFile, 'a');
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: programEnvironment(env),
    ...(directory !== undefined && { cwd: directory }),
  });
  closeSync(log);
  await new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new LabError(`Cannot start \`${program}\``, { cause: error })));
    child.once('spawn', resolve);
  });
  child.unref();
  const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
  if (identity) return identity;
  throw new LabError(`\`${command.join(' ')}\` ended at once; the end of ${logFile}:\n${await tail(logFile, 20)}`);
}
