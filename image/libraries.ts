/** Programs of this machine together with the shared libraries that they need. */
import { realpath } from 'node:fs/promises';
import type { ImageFile } from './files.ts';
import { run } from './run.ts';

/**
 * The paths in what `ldd` says of a program, without the kernel's vdso. Its lines are `name => /path (0x…)` and, for
 * the loader, `/path (0x…)`. Throws when a library is missing.
 */
export function parseLdd(text: string): readonly string[] {
  const missing = /^\s*(\S+) => not found$/m.exec(text);
  if (missing) throw new Error(`The shared library ${missing[1]} is not on this machine`);
  return [...text.matchAll(/(?:=> |^\s*)(\/\S+) \(0x[0-9a-f]+\)$/gm)].flatMap(([, path]) => path ?? []);
}

/** The libraries of these programs, each at the path where the loader looks for it; what several need comes once. */
export async function librariesOf(programs: readonly string[]): Promise<readonly ImageFile[]> {
  const needed = await Promise.all(
    programs.map(async (program) => parseLdd(await run('ldd', [program], 'the image is made on Linux with glibc'))),
  );
  const paths = [...new Set(needed.flat())];
  // The kernel runs the loader, which must be executable for that.
  return Promise.all(paths.map(async (path) => ({ path, source: await realpath(path), mode: 0o755 })));
}
