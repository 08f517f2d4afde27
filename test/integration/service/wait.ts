import { setTimeout as sleep } from 'node:timers/promises';

/** How long what takes a moment may take on a machine that does ten other things. */
export const PATIENCE_MS = 45_000;

/** For `expect.poll`: as patient as `waitFor`. */
export const POLL: { readonly timeout: number; readonly interval: number } = { timeout: PATIENCE_MS, interval: 50 };

export interface WaitOptions {
  /** `PATIENCE_MS` by default. */
  readonly timeoutMs?: number | undefined;
  readonly intervalMs?: number;
  /** What a person needs to see when the wait was in vain. */
  readonly hint?: () => string;
}

/**
 * Asks until the answer is not undefined, and returns it. The question may throw (a failed `expect`, a request that was
 * refused): that counts as "not yet", and the last of it is in the message when time is up.
 */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  { timeoutMs = PATIENCE_MS, intervalMs = 50, hint = () => '' }: WaitOptions = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  do {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await sleep(intervalMs);
  } while (performance.now() < deadline);
  const reason = last instanceof Error ? `\nlast: ${last.message}` : '';
  throw new Error(`waited ${timeoutMs} ms in vain for ${what}${reason}${hint()}`, { cause: last });
}

/** Checks again and again, for a while, that something stays true; for what must not happen. */
export async function stays(check: () => Promise<void>, forMs: number): Promise<void> {
  const end = performance.now() + forMs;
  do {
    await check();
    await sleep(100);
  } while (performance.now() < end);
  await check();
}
