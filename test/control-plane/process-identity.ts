import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process, told apart from a later one with the same number by its start. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in whatever form the system gives; only equality means anything. */
  readonly start: string;
}

/** The running process with this number; undefined when there is none (a zombie counts as none). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const start = process.platform === 'linux' ? linuxStart(pid) : posixStart(pid);
  return start === undefined ? undefined : { pid, start };
}

/** This process. */
export function ownIdentity(): ProcessIdentity {
  const own = identifyProcess(process.pid);
  if (!own) throw new Error(`Cannot read when process ${process.pid} started: is /proc mounted?`);
  return own;
}

/** Whether that very process, not only one with its number, still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.start === identity.start;
}

/** Sends the signal when that very process still runs; says whether it did. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isRunning(identity)) return false;
  try {
    return process.kill(identity.pid, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

/** Parses what `JSON.stringify` made of an identity; undefined for anything else. */
export function parseIdentity(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== 'object' || value === null || !('pid' in value) || !('start' in value)) return undefined;
  const { pid, start } = value;
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0 || typeof start !== 'string') return undefined;
  return { pid, start };
}

/** proc_pid_stat(5): field 3 is the state, field 22 the start in clock ticks since this boot. */
function linuxStart(pid: number): string | undefined {
  const stat = readOrUndefined(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // Field 2 is the name in parentheses and may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, ticks] = [fields[0], fields[19]];
  if (state === undefined || state === 'Z' || state === 'X' || ticks === undefined) return undefined;
  const boot = readOrUndefined('/proc/sys/kernel/random/boot_id') ?? '';
  return `${boot.trim()}/${ticks}`;
}

function posixStart(pid: number): string | undefined {
  try {
    const output = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
    return output.trim() || undefined;
  } catch {
    return undefined;
  }
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
