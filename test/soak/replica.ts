/** One of the controller processes, started again whenever it ends, as a Deployment would. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { COMPILE_CACHE, PROGRAM, PROGRAM_WITH_CLOUD } from '#test/chaos/controller-process';
import type { FaultProxy } from '#test/chaos/fault-proxy';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RESTART_AFTER_MS = 300;
/** How much of the log a complaint shows. */
const LAST_LINES = 40;
const QUESTION_TIMEOUT_MS = 5_000;
/** A process that was told to end and has not after this time hangs: its own limit is far shorter. */
const END_TIMEOUT_MS = 240_000;

export interface ReplicaOptions {
  readonly name: string;
  /** Without the address of the metrics. */
  readonly flags: readonly string[];
  readonly metricsPort: number;
  /** Between this process and the API server. */
  readonly proxy: FaultProxy;
  /** Between this process and the small cloud, whose provider it has only then. */
  readonly cloudProxy: FaultProxy | undefined;
  /** Takes the whole log, of every process that this replica ever was. */
  readonly logPath: string;
}

export class Replica {
  readonly name: string;
  readonly proxy: FaultProxy;
  readonly cloudProxy: FaultProxy | undefined;
  /** What must never happen, happened: each as a sentence. */
  readonly complaints: string[] = [];
  readonly #options: ReplicaOptions;
  readonly #log: WriteStream;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #lines: string[] = [];
  #rest = '';
  #isAsked = false;
  #stopped = false;
  #supervision: Promise<void> | undefined;
  #starts = 0;

  constructor(options: ReplicaOptions) {
    this.name = options.name;
    this.proxy = options.proxy;
    this.cloudProxy = options.cloudProxy;
    this.#options = options;
    this.#log = createWriteStream(options.logPath, { flags: 'a' });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#options.metricsPort}`;
  }

  get metricsPort(): number {
    return this.#options.metricsPort;
  }

  /** Undefined while no process runs. */
  get pid(): number | undefined {
    const running = this.#child?.exitCode === null && this.#child.signalCode === null;
    return running ? this.#child?.pid : undefined;
  }

  /** How often a process was started. */
  get starts(): number {
    return this.#starts;
  }

  start(): void {
    this.#supervision ??= this.#supervise();
  }

  /** Sends a signal; SIGTERM and SIGKILL mean that the end that follows was asked for. */
  signal(signal: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    if (this.pid === undefined) return;
    if (signal === 'SIGTERM' || signal === 'SIGKILL') this.#isAsked = true;
    this.#child?.kill(signal);
  }

  /** Waits for the end of a process that was told to end; complains of one that does not. */
  async ended(): Promise<void> {
    const child = this.#child;
    const late = new AbortController();
    const hangs = await Promise.race([
      this.#exited.then(() => false),
      sleep(END_TIMEOUT_MS, true, { signal: late.signal }).catch(() => false),
    ]);
    late.abort();
    if (!hangs) return;
    this.complaints.push(
      `${this.name} did not end within ${END_TIMEOUT_MS / 1_000} s of SIGTERM.\n${this.lastWords()}`,
    );
    child?.kill('SIGKILL');
  }

  /** The body of a path of its metrics server; undefined when it does not answer with success. */
  async ask(path: string): Promise<string | undefined> {
    try {
      const answer = await fetch(`${this.url}${path}`, { signal: AbortSignal.timeout(QUESTION_TIMEOUT_MS) });
      const text = await answer.text();
      return answer.ok ? text : undefined;
    } catch {
      return undefined;
    }
  }

  lastWords(): string {
    return this.#lines.join('\n');
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.signal('SIGKILL');
    await this.#supervision;
    await new Promise((resolve) => this.#log.end(resolve));
  }

  async #supervise(): Promise<void> {
    while (!this.#stopped) {
      this.#exited = this.#run();
      await this.#exited;
      if (!this.#stopped) await sleep(RESTART_AFTER_MS);
    }
  }

  /** Resolves when the process has ended and all it said is read. */
  #run(): Promise<void> {
    const { flags, metricsPort } = this.#options;
    const all = ['controller', ...flags, `--metrics-bind-address=127.0.0.1:${metricsPort}`];
    const program = this.cloudProxy ? PROGRAM_WITH_CLOUD : PROGRAM;
    const child = spawn(process.execPath, ['--conditions=source', '--enable-source-maps', program, ...all], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], NODE_NO_WARNINGS: '1', NODE_COMPILE_CACHE: COMPILE_CACHE },
    });
    this.#starts += 1;
    this.#isAsked = false;
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => this.#hear(chunk));
    }
    return new Promise((resolve) => {
      child.once('error', (error) => {
        this.complaints.push(`${this.name} could not be started: ${error.message}`);
        this.#stopped = true;
        resolve();
      });
      child.once('close', (code) => {
        this.#judge(code);
        resolve();
      });
    });
  }

  #hear(chunk: string): void {
    this.#log.write(chunk);
    const lines = `${this.#rest}${chunk}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.includes('"code":"Bug"')) this.complaints.push(`${this.name} logged a bug: ${line}`);
    }
    this.#lines = [...this.#lines, ...lines].slice(-LAST_LINES);
  }

  /** A controller ends when it is told to or has lost the Lease, and for no other reason. */
  #judge(code: number | null): void {
    if (this.#isAsked || this.#stopped) return;
    const lostLease = this.#lines.some(
      (line) => line.includes('ends because of a failure') && line.includes('NotLeader'),
    );
    if (code === 1 && lostLease) return;
    this.complaints.push(`${this.name} ended by itself with ${code}; it last said:\n${this.lastWords()}`);
  }
}
