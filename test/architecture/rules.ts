import type { Import, SourceFile } from './imports.ts';

/** The parts of the program, between which imports may only point one way. */
export type Part =
  | 'main'
  | 'cli'
  | 'service'
  | 'runtime'
  | 'kube'
  | 'loadbalancer'
  | 'telemetry'
  | 'errors'
  | 'registry'
  | 'provider';

/** What each part may import, besides itself. */
const ALLOWED: Readonly<Record<Part, readonly Part[]>> = {
  main: ['cli', 'registry', 'errors'],
  cli: ['service', 'runtime', 'kube', 'loadbalancer', 'telemetry', 'errors'],
  service: ['runtime', 'kube', 'loadbalancer', 'telemetry', 'errors'],
  kube: ['runtime', 'telemetry', 'errors'],
  runtime: ['telemetry', 'errors'],
  loadbalancer: ['errors'],
  telemetry: ['errors'],
  errors: [],
  registry: ['provider', 'loadbalancer'],
  provider: ['loadbalancer', 'telemetry', 'errors'],
};

/** Shapes without behaviour that a part may name though it may not import the part they live in. */
const ALLOWED_TYPES: Readonly<Partial<Record<Part, readonly string[]>>> = {
  loadbalancer: ['src/kube/wire.ts', 'src/telemetry/log.ts'],
};

/** Of Node's modules, the pure domain may use only what computes: parsing addresses and hashing. */
const PURE_NAMES: ReadonlySet<string> = new Set([
  'isIP',
  'isIPv4',
  'isIPv6',
  'BlockList',
  'SocketAddress',
  'createHash',
]);

const CLIENT_LIBRARY = '@kubernetes/client-node';

/** The part that a file belongs to; undefined for a place that the layout does not know. */
export function partOf(path: string): Part | undefined {
  if (path === 'src/main.ts') return 'main';
  if (path === 'src/errors.ts') return 'errors';
  if (path === 'src/config.ts') return 'cli';
  if (path === 'providers/registry.ts') return 'registry';
  const [tree, folder, ...rest] = path.split('/');
  if (rest.length === 0) return undefined;
  if (tree === 'providers') return 'provider';
  if (folder === 'config') return 'cli';
  const parts: readonly Part[] = ['cli', 'service', 'runtime', 'kube', 'loadbalancer', 'telemetry'];
  return tree === 'src' ? parts.find((part) => part === folder) : undefined;
}

/** Every broken rule, as a sentence. */
export function violations(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) => {
    const part = partOf(file.path);
    if (part === undefined) return [`${file.path} lies where the layout has no part`];
    return file.imports.flatMap((one) => {
      const broken = one.file === undefined ? packageRule(part, one) : fileRule(file.path, part, one, one.file);
      return broken === undefined ? [] : [`${file.path} imports ${one.specifier}: ${broken}`];
    });
  });
}

function fileRule(path: string, part: Part, one: Import, target: string): string | undefined {
  const targetPart = partOf(target);
  if (targetPart === undefined) return 'it lies outside src and providers';
  if (path.split('/')[0] === target.split('/')[0] ? one.specifier.startsWith('#') : one.specifier.startsWith('.')) {
    return 'imports inside a tree are relative, those across trees begin with #';
  }
  if (targetPart === part) {
    const sameProvider = part !== 'provider' || path.split('/')[1] === target.split('/')[1];
    return sameProvider ? undefined : 'providers do not know each other';
  }
  if (ALLOWED[part].includes(targetPart)) return undefined;
  if (one.typeOnly && ALLOWED_TYPES[part]?.includes(target)) return undefined;
  return `${part} may not import ${targetPart}`;
}

function packageRule(part: Part, one: Import): string | undefined {
  if (one.specifier === CLIENT_LIBRARY || one.specifier.startsWith(`${CLIENT_LIBRARY}/`)) {
    return part === 'kube' ? undefined : 'only kube knows the client library';
  }
  if (
    part === 'loadbalancer' &&
    !one.typeOnly &&
    !(one.names.length > 0 && one.names.every((name) => PURE_NAMES.has(name)))
  ) {
    return 'the domain is pure: no package, and of Node only what computes';
  }
  return undefined;
}
