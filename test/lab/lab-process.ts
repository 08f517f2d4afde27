import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { type ProcessIdentity, signalProcess } from '../control-plane/process-identity.ts';
import { LabError } from './errors.ts';
import { tail, waitFor } from './wait.ts';

/** How a process ended. */
export interface Exit {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StopOptions {
  /** How long it may take to end after SIGTERM before it is killed. Default 10 s. */
  readonly graceMs?: number;
}

const DEFAULT_GRACE_MS = 10_000;

/** A program that runs on a machine of a lab. What it writes goes to its log. */
export class LabProcess {
  /** As `Lab.logs` knows it. */
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Settles when it has ended; never rejects. */
  readonly exited: Promise<Exit>;
  readonly #identity: ProcessIdentity;
  #exit: Exit | undefined;

  constructor(name: string, identity: ProcessIdentity, child: ChildProcess, logFile: string) {
    this.name = name;
    this.pid = identity.pid;
    this.logFile = logFile;
    this.#identity = identity;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
  }

  /** How it ended; undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** Everything it wrote so far, both streams together. */
  async output(): Promise<string> {
    return readFile(this.logFile, 'utf8');
  }

  /** Waits until it has written something that matches; rejects when it ends or the time is over before. */
  async waitForOutput(pattern: RegExp, timeoutMs: number = 10_000): Promise<RegExpExecArray> {
    const found = await waitFor({
      what: `${this.name} to write ${String(pattern)}`,
      timeoutMs,
      intervalMs: 50,
      log: this.logFile,
      check: async () => {
        const ended = this.#exit !== undefined;
        return pattern.exec(await this.output()) ?? (ended ? 'ended' : undefined);
      },
    });
    if (found !== 'ended') return found;
    throw new LabError(
      `${this.name} ended before it wrote ${String(pattern)}. The end of its log:\n${await tail(this.logFile, 20)}`,
    );
  }

  /** Sends a signal; says whether it was still there to get it. */
  signal(signal: NodeJS.Signals): boolean {
    return signalProcess(this.#identity, signal);
  }

  /** SIGTERM, then SIGKILL when it does not end in time. */
  async stop({ graceMs = DEFAULT_GRACE_MS }: StopOptions = {}): Promise<Exit> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }
}
