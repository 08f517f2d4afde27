import { setTimeout as sleep } from 'node:timers/promises';

/** For `expect.poll`: as patient as `waitFor`. */
export const POLL = { timeout: 20_000, interval: 50 } as const;

export interface WaitOptions {
  /** 20 s by default. */
  readonly timeoutMs?: number;
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
  { timeoutMs = 20_000, intervalMs = 50, hint = () => '' }: WaitOptions = {},
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
