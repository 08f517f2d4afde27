/** What is installed is what the lock file says, from wherever the user's npm gets it, and next to nothing of it runs. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const read = (name: string): unknown =>
  JSON.parse(readFileSync(fileURLToPath(new URL(`../${name}`, import.meta.url)), 'utf8'));

const VERSIONS = z.record(z.string(), z.string());
const PACKAGE = z.object({
  dependencies: VERSIONS,
  devDependencies: VERSIONS,
  allowScripts: z.record(z.string(), z.boolean()),
});
const LOCKED = z.object({
  version: z.string(),
  resolved: z.string().optional(),
  integrity: z.string().optional(),
  dev: z.boolean().optional(),
  optional: z.boolean().optional(),
  link: z.boolean().optional(),
  inBundle: z.boolean().optional(),
  hasInstallScript: z.boolean().optional(),
  os: z.array(z.string()).optional(),
  cpu: z.array(z.string()).optional(),
  libc: z.array(z.string()).optional(),
});
const LOCK = z.object({ lockfileVersion: z.literal(3), packages: z.record(z.string(), z.unknown()) });

const manifest = PACKAGE.parse(read('package.json'));
const { packages } = LOCK.parse(read('package-lock.json'));
const root = PACKAGE.omit({ allowScripts: true }).parse(packages['']);
const locked = new Map(
  Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, entry]) => [path.replace(/^.*node_modules\//, ''), LOCKED.parse(entry)]),
);

/** The names of the locked packages of which this is true. */
const those = (is: (entry: z.infer<typeof LOCKED>) => boolean): readonly string[] =>
  [...locked].filter(([, entry]) => is(entry)).map(([name]) => name);

describe('the lock file', () => {
  it('is that of package.json', () => {
    const { dependencies, devDependencies } = manifest;
    expect(root).toEqual({ dependencies, devDependencies });
    for (const name of Object.keys({ ...dependencies, ...devDependencies })) expect(locked.has(name)).toBe(true);
  });

  it('has the hash of every package that is shipped, and of every one that runs here', () => {
    const without = those(({ integrity }) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''));
    // npm knows the hash of a tool's binary for another platform only where it is installed; there it checks the
    // registry's own. They are formatter and linter, never shipped.
    const elsewhere = those(({ dev, optional, os }) => dev === true && optional === true && os !== undefined);
    expect(without.filter((name) => !elsewhere.includes(name))).toEqual([]);
    expect(without.filter((name) => !/^@(oxfmt|oxlint|oxlint-tsgolint)\//.test(name))).toEqual([]);
    // Where the tests and the image are made, nothing is without.
    const here = those(
      ({ os, cpu, libc }) =>
        !(os && !os.includes('linux')) && !(cpu && !cpu.includes('x64')) && !libc?.includes('musl'),
    );
    expect(without.filter((name) => here.includes(name))).toEqual([]);
  });

  it('names no place to get a package from: that is the user’s npm’s business, and the hash tells', () => {
    expect(those(({ resolved }) => resolved !== undefined)).toEqual([]);
    expect(those(({ link, inBundle }) => link === true || inBundle === true)).toEqual([]);
    expect(those(({ version }) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });

  it('holds versions of the registry only: no repository, no folder, no URL', () => {
    const wanted = Object.values({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(wanted.filter((range) => !/^\^\d+\.\d+\.\d+$/.test(range))).toEqual([]);
  });
});

describe('installing', () => {
  it('runs the script of one package, the pinned Node, and of no other', () => {
    expect(those(({ hasInstallScript }) => hasInstallScript === true)).toEqual(['node']);
    expect(manifest.allowScripts).toEqual({ node: true });
    expect(locked.get('node')?.dev).toBe(true);
  });
});
