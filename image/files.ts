import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import type { TarEntry } from './tar.ts';

/** A file, folder or link of an image; folders above it come by themselves (root's, mode 755). */
export type ImageFile =
  /** A copy of a file of this machine. */
  | { readonly path: string; readonly source: string; readonly mode?: number }
  | { readonly path: string; readonly content: string | Buffer; readonly mode?: number }
  | { readonly path: string; readonly linkTo: string }
  | { readonly path: string; readonly directory: true; readonly mode?: number };

const DEFAULT_FILE_MODE = 0o644;
const DEFAULT_FOLDER_MODE = 0o755;

/** The files in the order of their paths, each folder before what is in it. Throws when a path comes twice. */
export async function layerEntries(files: readonly ImageFile[]): Promise<readonly TarEntry[]> {
  const entries = new Map<string, TarEntry>();
  for (const file of files) {
    const path = posix.relative('/', posix.normalize(file.path));
    if (entries.has(path)) throw new Error(`The image has ${file.path} twice`);
    entries.set(path, await layerEntry(path, file));
  }
  for (const path of Array.from(entries.keys())) {
    for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder)) {
      if (!entries.has(folder)) entries.set(folder, { kind: 'directory', path: folder, mode: DEFAULT_FOLDER_MODE });
    }
  }
  return [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function layerEntry(path: string, file: ImageFile): Promise<TarEntry> {
  if ('linkTo' in file) return { kind: 'symlink', path, target: file.linkTo };
  if ('directory' in file) return { kind: 'directory', path, mode: file.mode ?? DEFAULT_FOLDER_MODE };
  const content = 'source' in file ? await readFile(file.source) : Buffer.from(file.content);
  return { kind: 'file', path, content, mode: file.mode ?? DEFAULT_FILE_MODE };
}
