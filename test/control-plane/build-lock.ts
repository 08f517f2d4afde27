import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, ownIdentity, parseIdentity, type ProcessIdentity } from './process-identity.ts';

const POLL_MS = 200;
const SAY_EVERY_MS = 10_000;
const GUARD_MS = 10_000;

export interface BuildLockOptions {
  readonly signal?: AbortSignal;
  /** Called when somebody else holds the lock, and again every ten seconds. */
  readonly onWait: (holder: ProcessIdentity) => void;
}

/**
 * A lock file that keeps two processes from building the same thing twice; it names its holder, and one whose holder
 * is dead is taken over. It only saves work: whoever built without it would still put whole files into place.
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
  // A hard link to a finished file appears with its content or not at all, so nobody reads a lock half written.
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, JSON.stringify(ownIdentity()));
  let saidAt = -Infinity;
  try {
    while (!(await linkOnce(draft, path)) && !(await takeOver(draft, path))) {
      signal?.throwIfAborted();
      const holder = await holderOf(path);
      if (holder && holder !== 'nobody' && performance.now() - saidAt >= SAY_EVERY_MS) {
        onWait(holder);
        saidAt = performance.now();
      }
      await delay(POLL_MS, undefined, signal && { signal });
    }
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * Replaces the lock when its holder is dead. Only the owner of the guard file may do so, so that of several who find
 * the lock stale one gets it and none replaces a live one: a stale lock stays where it is until it is replaced here.
 */
async function takeOver(draft: string, path: string): Promise<boolean> {
  const guard = `${path}.takeover`;
  if (!(await linkOnce(draft, guard))) {
    await removeOldGuard(guard);
    return false;
  }
  try {
    const holder = await holderOf(path);
    if (holder === 'nobody' || (holder && isRunning(holder))) return false;
    await rename(draft, path);
    return true;
  } finally {
    await rm(guard, { force: true });
  }
}

/** The guard is held for a moment; one that is older was left by a process killed in that moment. */
async function removeOldGuard(guard: string): Promise<void> {
  const about = statSync(guard, { throwIfNoEntry: false });
  if (about && Date.now() - about.ctimeMs > GUARD_MS) await rm(guard, { force: true });
}

/** Links the file to the path unless something is there; says whether it did. */
async function linkOnce(file: string, path: string): Promise<boolean> {
  try {
    await link(file, path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Who holds the lock; undefined when the file cannot be understood, which only a broken one cannot. */
async function holderOf(path: string): Promise<ProcessIdentity | 'nobody' | undefined> {
  try {
    return parseIdentity(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'nobody' : undefined;
  }
}
