/** The packages of `node_modules` that the program needs when it runs, without what only people and compilers read. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** `package-lock.json`, lockfileVersion 3, as far as we read it. */
const LOCK = z.object({
  packages: z.record(z.string(), z.object({ dev: z.boolean().optional(), devOptional: z.boolean().optional() })),
});

/** The folders of all packages that `npm ci --omit=dev` installs, relative to that of the lock file. */
export function productionFolders(lockFile: string): readonly string[] {
  const { packages } = LOCK.parse(JSON.parse(lockFile));
  return Object.entries(packages).flatMap(([folder, { dev, devOptional }]) =>
    folder === '' || dev === true || devOptional === true ? [] : [folder],
  );
}

/** Folders of a package that nothing of it imports. */
const UNUSED = new Set(['test', 'tests', 'docs', 'benchmarks', 'examples', 'prebuilds', '.github', 'node_modules']);
const NEEDED = /\.(?:js|cjs|mjs|json|node|wasm)$|^(?:licen[cs]e|notice)/i;
const TEST = /[._]test\.[cm]?js$/;
const CODE = /\.(?:js|cjs|mjs)$/;

/**
 * The files of a package, relative to `root`: code and licences. None where there is no code, as in packages of types.
 * Nested packages are packages of their own.
 */
export async function packageFiles(root: string, folder: string): Promise<readonly string[]> {
  const files = await filesBelow(root, folder);
  return files.some((file) => CODE.test(file)) ? files : [];
}

async function filesBelow(root: string, folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return UNUSED.has(entry.name) ? [] : filesBelow(root, path);
      return NEEDED.test(entry.name) && !TEST.test(entry.name) ? [path] : [];
    }),
  );
  return found.flat();
}
