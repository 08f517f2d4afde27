import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from './errors.ts';

export interface WaitOptions<T> {
  /** What is waited for, as the end of "waited 5 s for …". */
  readonly what: string;
  readonly timeoutMs: number;
  /** Default 100 ms. */
  readonly intervalMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** A log whose end goes into the error. */
  readonly log?: string;
  /** Gives the awaited value, or undefined to be asked again. What it throws counts as "not yet" and is quoted. */
  readonly check: () => Promise<T | undefined>;
}

/** Asks again and again until there is a value; an error that says what was missing when the time is over. */
export async function waitFor<T>(options: WaitOptions<T>): Promise<T> {
  const { what, timeoutMs, intervalMs = 100, signal, log, check } = options;
  const deadline = performance.now() + timeoutMs;
  let last = '';
  for (;;) {
    signal?.throwIfAborted();
    try {
      const value = await check();
      if (value !== undefined) return value;
      last = '';
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() >= deadline) break;
    // An abort is seen at the top, where it throws the signal's own reason.
    await delay(intervalMs, undefined, signal && { signal }).catch(() => undefined);
  }
  const parts = [`Waited ${timeoutMs / 1_000} s for ${what}`];
  if (last) parts.push(`The last attempt said: ${last}`);
  if (log !== undefined) parts.push(`The end of ${log}:\n${await tail(log, 20)}`);
  throw new LabError(parts.join('. '));
}

/** The last lines of a file; a note in their place when it cannot be read. */
export async function tail(file: string, lines: number): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trimEnd().split('\n').slice(-lines).join('\n');
  } catch (error) {
    return `(cannot be read: ${error instanceof Error ? error.message : String(error)})`;
  }
}
