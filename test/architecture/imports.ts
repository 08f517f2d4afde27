import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';

/** One import of one source file. */
export interface Import {
  /** As written: `../errors.ts`, `#providers/registry`, `node:net`, `zod`. */
  readonly specifier: string;
  /** The file it means, relative to the root of the repository; undefined for packages and Node's own modules. */
  readonly file: string | undefined;
  /** Gone at run time: `import type`, or only `type` names inside the braces. */
  readonly typeOnly: boolean;
  /** The names inside the braces; empty for other forms. */
  readonly names: readonly string[];
}

export interface SourceFile {
  /** Relative to the root of the repository, with forward slashes. */
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
}

/** Static imports and re-exports; the formatter puts the keyword first on its line, so strings and comments do not match. */
const STATIC = /^(?:import|export)\s+(?:(type)\s+)?([\w*\s,{}$]*?)\s*from\s*'([^']+)'/gm;
const BARE = /^import\s*'([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'/g;

/** Finds every import of a source text; `path` is where it lies. */
export function findImports(path: string, text: string): readonly Import[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  const found: Import[] = [];
  for (const [, type, clause = '', specifier = ''] of code.matchAll(STATIC)) {
    const braces = /\{([\s\S]*)\}/.exec(clause)?.[1];
    const names = (braces ?? '').split(',').map((name) => name.trim());
    const given = names.filter((name) => name !== '');
    const typeOnly =
      type !== undefined ||
      (clause.trim().startsWith('{') && given.length > 0 && given.every((name) => name.startsWith('type ')));
    found.push({
      specifier,
      file: resolve(path, specifier),
      typeOnly,
      names: given.map((name) => name.replace(/^type\s+/, '').replace(/\s+as\s+.*$/, '')),
    });
  }
  for (const pattern of [BARE, DYNAMIC]) {
    for (const [, specifier = ''] of code.matchAll(pattern)) {
      found.push({ specifier, file: resolve(path, specifier), typeOnly: false, names: [] });
    }
  }
  return found;
}

/** Reads every TypeScript file of these folders. */
export function readSources(root: string, folders: readonly string[]): readonly SourceFile[] {
  return folders
    .flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root }))
    .map((path) => path.split(sep).join('/'))
    .toSorted()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, lines: text.trimEnd().split('\n').length, imports: findImports(path, text) };
    });
}

/** Relative imports carry their ending; across the trees, `#src/a/b` means `src/a/b.ts`. */
function resolve(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) {
    return relative('.', join(dirname(from), specifier))
      .split(sep)
      .join('/');
  }
  return specifier.startsWith('#') ? `${specifier.slice(1)}.ts` : undefined;
}

/** One cycle of imports if there is any, as the paths along it; undefined when there is none. */
export function findCycle(files: readonly SourceFile[]): readonly string[] | undefined {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): readonly string[] | undefined => {
    const start = trail.indexOf(path);
    if (start !== -1) return [...trail.slice(start), path];
    if (finished.has(path)) return undefined;
    for (const { file } of byPath.get(path)?.imports ?? []) {
      const cycle = file === undefined ? undefined : visit(file, [...trail, path]);
      if (cycle) return cycle;
    }
    finished.add(path);
    return undefined;
  };
  for (const { path } of files) {
    const cycle = visit(path, []);
    if (cycle) return cycle;
  }
  return undefined;
}

/** The files that `start` needs, itself included. */
export function reachable(files: readonly SourceFile[], start: string): ReadonlySet<string> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const seen = new Set<string>();
  const queue = [start];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { file } of byPath.get(path)?.imports ?? []) if (file !== undefined) queue.push(file);
  }
  return seen;
}
