import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, ownIdentity, parseIdentity, type ProcessIdentity } from './process-identity.ts';

const POLL_MS = 200;
const SAY_EVERY_MS = 10_000;

export interface BuildLockOptions {
  readonly signal?: AbortSignal;
  /** Called when somebody else holds the lock, and again every ten seconds. */
  readonly onWait: (holder: ProcessIdentity) => void;
}

/**
 * A lock file that keeps two processes from building the same thing twice; it names its holder, and one whose holder
 * is dead is taken over. It saves work and guards nothing: whoever builds without it still renames whole files.
 */
export async function withBuildLock<T>(path: string, options: BuildLockOptions, work: () => Promise<T>): Promise<T> {
  await acquire(path, options);
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function acquire(path: string, { signal, onWait }: BuildLockOptions): Promise<void> {
  let saidAt = -Infinity;
  for (;;) {
    signal?.throwIfAborted();
    if (await create(path)) return;
    const holder = await holderOf(path);
    if (!holder || !isRunning(holder)) {
      await removeStale(path, holder);
      continue;
    }
    if (performance.now() - saidAt >= SAY_EVERY_MS) {
      onWait(holder);
      saidAt = performance.now();
    }
    await delay(POLL_MS, undefined, signal && { signal });
  }
}

/** A hard link appears with its content or not at all, so nobody reads a lock that is half written. */
async function create(path: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, JSON.stringify(ownIdentity()));
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function holderOf(path: string): Promise<ProcessIdentity | undefined> {
  try {
    return parseIdentity(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return undefined;
  }
}

/** Moves the lock aside before removing it: when another process was faster and it is a live lock, it is put back. */
async function removeStale(path: string, stale: ProcessIdentity | undefined): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return; // Gone already: its holder or another waiter removed it.
  }
  const moved = await holderOf(aside);
  if (moved && (moved.pid !== stale?.pid || moved.start !== stale.start)) {
    await link(aside, path).catch(() => undefined);
  }
  await rm(aside, { force: true });
}
