import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** What the command reads from its standard input; default nothing. */
  readonly input?: string;
  readonly signal?: AbortSignal;
  /** Sent when the signal aborts; default SIGTERM. */
  readonly killSignal?: NodeJS.Signals;
  readonly onErrorLine?: (line: string) => void;
}

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  /** The exit code; -1 when a signal ended it. */
  readonly code: number;
}

/** Runs a program to its end and returns what it said; rejects only when it cannot start or the signal aborts. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: 'pipe',
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      ...(options.env && { env: options.env }),
      ...(options.signal && { signal: options.signal, killSignal: options.killSignal ?? 'SIGTERM' }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    if (options.onErrorLine) createInterface({ input: child.stderr }).on('line', options.onErrorLine);
    child.on('error', reject);
    child.on('close', (code) => resolve({ stdout, stderr, code: code ?? -1 }));
    // A command that ends without reading its input closes the pipe, which is no failure of ours.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Like `runCommand`, for commands that are expected to succeed: any other code rejects with what they said. */
export async function runOrThrow(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await runCommand(command, args, options);
  if (result.code === 0) return result;
  const said = lastLines(result.stderr || result.stdout, 30);
  throw new Error(`\`${command} ${args.join(' ')}\` failed with code ${result.code}:\n${said}`);
}

/** The last `count` lines of a text. */
export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/** Whether the error says that the program itself was not found. */
export function isMissingProgram(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT' && 'syscall' in error;
}
