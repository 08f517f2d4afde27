import { setTimeout as delay } from 'node:timers/promises';

/** Longer than anything takes that still works, also on a slow machine. */
const TIMEOUT_MS = 300_000;

/** Asks until the answer is true; rejects, saying what was waited for, after five minutes. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  { everyMs = 5, signal }: { readonly everyMs?: number; readonly signal?: AbortSignal } = {},
): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  while (!(await holds())) {
    signal?.throwIfAborted();
    if (performance.now() > deadline) throw new Error(`waited ${TIMEOUT_MS / 1000} s in vain for ${what}`);
    await delay(everyMs);
  }
}

/** Resolves when a number has stayed the same for this long. */
export async function untilStable(what: string, read: () => number | Promise<number>, quietMs: number): Promise<void> {
  let last = await read();
  let since = performance.now();
  await until(
    `${what} to settle`,
    async () => {
      const now = await read();
      if (now !== last) since = performance.now();
      last = now;
      return performance.now() - since >= quietMs;
    },
    { everyMs: 50 },
  );
}
