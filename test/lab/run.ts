import { isMissingProgram, lastLines, runCommand } from '../control-plane/run-command.ts';
import { LabError } from './errors.ts';
import { programEnvironment } from './system-path.ts';

const DEFAULT_TIMEOUT_MS = 30_000;

export interface RunOptions {
  /** Written to the command's standard input; none: it reads end of file. */
  readonly input?: string;
  /** After this the command is killed and the call fails. Default 30 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** More environment variables, on top of this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory. Default: this process's own. */
  readonly directory?: string;
  /** Whether an exit code other than 0 is an error. Default true. */
  readonly check?: boolean;
}

export interface RunResult {
  /** Exit code; -1 when a signal ended the command. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end and gives what it wrote. Rejects when it cannot start, takes too long, or (checked) fails. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { input = '', timeoutMs = DEFAULT_TIMEOUT_MS, signal, env, directory, check = true } = options;
  const [program = '', ...args] = command;
  const timeout = AbortSignal.timeout(timeoutMs);
  let result: RunResult;
  try {
    result = await runCommand(program, args, {
      input,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      killSignal: 'SIGKILL',
      env: programEnvironment(env),
      ...(directory !== undefined && { cwd: directory }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (timeout.aborted)
      throw new LabError(`\`${show(command)}\` did not end within ${timeoutMs} ms`, { cause: error });
    const why = isMissingProgram(error) ? `there is no \`${program}\` in PATH` : String(error);
    throw new LabError(`Cannot run \`${show(command)}\`: ${why}`, { cause: error });
  }
  if (check && result.code !== 0) {
    const said = lastLines(result.stderr.trim() || result.stdout, 20);
    throw new LabError(`\`${show(command)}\` failed with code ${result.code}${said ? `: ${said}` : ''}`);
  }
  return result;
}

function show(command: readonly string[]): string {
  const text = command.join(' ');
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
