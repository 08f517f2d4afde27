import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, ownIdentity, parseIdentity, type ProcessIdentity, signalProcess } from './process-identity.ts';

const PREFIX = 'ballast-control-plane-';
/** Says whose the folder is and which processes work in it. */
const RECORD = 'owner.json';
/** How long a folder may have no record yet before it counts as left behind. */
const UNRECORDED_MS = 60_000;

interface FolderRecord {
  readonly owner: ProcessIdentity;
  readonly processes: readonly ProcessIdentity[];
}

/** A new folder for the data of one control plane, recorded as this process's. */
export async function createDataFolder(parent: string = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(parent, PREFIX));
  recordProcesses(folder, []);
  return folder;
}

/**
 * Records which processes work in the folder. Synchronous, so that nothing can end this process between the start of
 * a child and its record except a kill.
 */
export function recordProcesses(folder: string, processes: readonly ProcessIdentity[]): void {
  const record: FolderRecord = { owner: ownIdentity(), processes };
  writeFileSync(join(folder, RECORD), JSON.stringify(record));
}

/** Kills what the record names, when it still runs, and removes the folder. */
export async function destroyDataFolder(folder: string): Promise<void> {
  const processes = readRecord(folder)?.processes ?? [];
  for (const child of processes) signalProcess(child, 'SIGKILL');
  for (let wait = 0; wait < 100 && processes.some(isRunning); wait += 1) await delay(20);
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

/** Clears what killed runs left: folders whose owner no longer runs, with their processes. Returns their paths. */
export async function removeStaleFolders(parent: string = tmpdir()): Promise<string[]> {
  const stale = readdirSync(parent)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(parent, name))
    .filter(isStale);
  await Promise.all(stale.map(destroyDataFolder));
  return stale;
}

function isStale(folder: string): boolean {
  const about = statSync(folder, { throwIfNoEntry: false });
  if (!about?.isDirectory() || about.uid !== process.getuid?.()) return false;
  const record = readRecord(folder);
  if (!record) return Date.now() - about.mtimeMs > UNRECORDED_MS;
  return !isRunning(record.owner);
}

function readRecord(folder: string): FolderRecord | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, RECORD), 'utf8'));
    if (typeof value !== 'object' || value === null || !('owner' in value) || !('processes' in value)) return undefined;
    const owner = parseIdentity(value.owner);
    if (!owner || !Array.isArray(value.processes)) return undefined;
    const processes = value.processes.map(parseIdentity).filter((identity) => identity !== undefined);
    return { owner, processes };
  } catch {
    return undefined;
  }
}
