import { spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import type { Message } from './outcome.ts';

/** How long a process gets to clean up after SIGTERM before SIGKILL. */
const GRACE_MS = 15_000;
/** How long output may still come once the program has ended. */
const STRAGGLER_MS = 1_000;

export interface CommandOptions {
  readonly command: string;
  readonly arguments: readonly string[];
  /** Milliseconds; a process that runs longer is ended, and so is its process group. */
  readonly timeoutMs: number;
  /** Ends the process early. */
  readonly signal: AbortSignal;
  /** `capture` keeps the output for the result; `pass` shows it as it comes. */
  readonly output: 'capture' | 'pass';
  /** Whether the program is a Node process that sends messages to its parent; false by default. */
  readonly sendsMessages?: boolean;
  /** Of the program and whatever it starts: above 0 gives way to others (nice(1)). As this process by default. */
  readonly niceness?: number;
}

export interface CommandResult {
  readonly ok: boolean;
  /** In words: `exit code 1`, `SIGKILL`, `no end within 60 s`. */
  readonly exit: string;
  /** Standard output and error as they came; empty with `pass`. */
  readonly text: string;
  readonly messages: readonly Message[];
}

/** Runs a program to its end, or ends it; never rejects. */
export function runCommand(options: CommandOptions): Promise<CommandResult> {
  const { promise, resolve } = Promise.withResolvers<CommandResult>();
  const output = options.output === 'pass' ? 'inherit' : 'pipe';
  const child = spawn(options.command, options.arguments, {
    // A group of its own, so that a hanging test's children end with it.
    detached: true,
    stdio: ['ignore', output, output, ...(options.sendsMessages ? (['ipc'] as const) : [])],
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
  });
  if (child.pid !== undefined && options.niceness !== undefined) setPriority(child.pid, options.niceness);
  const chunks: Buffer[] = [];
  const messages: Message[] = [];
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.on('message', (message: Message) => messages.push(message));

  let ended = '';
  let killer: NodeJS.Timeout | undefined;
  let straggler: NodeJS.Timeout | undefined;
  const end = (why: string): void => {
    if (ended !== '' || child.pid === undefined) return;
    ended = why;
    signalGroup(child.pid, 'SIGTERM');
    killer = setTimeout(() => signalGroup(child.pid, 'SIGKILL'), GRACE_MS);
  };
  const timer = setTimeout(() => end(`no end within ${options.timeoutMs / 1000} s`), options.timeoutMs);
  const onAbort = (): void => end('interrupted');
  options.signal.addEventListener('abort', onAbort, { once: true });
  if (options.signal.aborted) onAbort();

  const finish = (ok: boolean, exit: string): void => {
    clearTimeout(timer);
    clearTimeout(killer);
    clearTimeout(straggler);
    options.signal.removeEventListener('abort', onAbort);
    // What outlived its parent would hold ports and memory for the stages after this one.
    signalGroup(child.pid, 'SIGKILL');
    resolve({ ok: ok && ended === '', exit: ended || exit, text: Buffer.concat(chunks).toString(), messages });
  };
  child.on('error', (error) => finish(false, error.message));
  // A child of the child may hold the pipes open for ever.
  child.on('exit', () => {
    straggler = setTimeout(() => [child.stdout, child.stderr].forEach((pipe) => pipe?.destroy()), STRAGGLER_MS);
  });
  child.on('close', (code, signal) => finish(code === 0, signal ?? `exit code ${code}`));
  return promise;
}

/** Sends to every process of the group that `pid` leads, if any is left. */
function signalGroup(pid: number | undefined, signal: keyof typeof constants.signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
