import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type BinarySpec, type Platform, platformName } from './binary-spec.ts';

const DRAFT_SUFFIX = '.draft';

/** `${BALLAST_CACHE:-${XDG_CACHE_HOME:-~/.cache}/ballast}`: what is expensive to make and safe to delete. */
export function cacheRoot(env: NodeJS.ProcessEnv): string {
  return env['BALLAST_CACHE'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'ballast');
}

/** `<root>/bin/<upstream>-<version>-<os>-<arch>`: the programs of one upstream, and the lock of their making. */
export function cacheFolder(spec: BinarySpec, platform: Platform, env: NodeJS.ProcessEnv): string {
  return join(cacheRoot(env), 'bin', `${spec.upstream}-${spec.version}-${platformName(platform)}`);
}

/** Whether the path names a file that this user may run. */
export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether the folder has any finished program. */
export async function hasPrograms(folder: string): Promise<boolean> {
  const names = await listOrNothing(folder);
  return names.some((name) => !name.startsWith('.'));
}

/**
 * Lets `make` write the program to a draft path and moves it into its place when it is whole, so that a file in the
 * cache is always a finished one.
 */
export async function addToCache(path: string, make: (draft: string) => Promise<void>): Promise<void> {
  const folder = join(path, '..');
  await mkdir(folder, { recursive: true });
  const draft = join(folder, `.${randomUUID()}${DRAFT_SUFFIX}`);
  try {
    await make(draft);
    await chmod(draft, 0o755);
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}

/** Removes what killed runs left half made; only the holder of the folder's lock may call it. */
export async function removeDrafts(folder: string): Promise<void> {
  const drafts = (await listOrNothing(folder)).filter((name) => name.endsWith(DRAFT_SUFFIX));
  await Promise.all(drafts.map((name) => rm(join(folder, name), { recursive: true, force: true })));
}

async function listOrNothing(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}
