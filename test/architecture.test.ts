import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { findCycle, findImports, reachable, readSources, type SourceFile } from './architecture/imports.ts';
import { violations } from './architecture/rules.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = readSources(root, ['src', 'providers']);

function source(path: string, text: string): SourceFile {
  return { path, lines: 1, imports: findImports(path, text) };
}

describe('the sources', () => {
  it('are found', () => {
    expect(files.length).toBeGreaterThan(10);
    expect(files.map((file) => file.path)).toContain('src/errors.ts');
    expect(files.flatMap((file) => file.imports).length).toBeGreaterThan(files.length);
  });

  it('import only in the allowed directions', () => {
    expect(violations(files)).toEqual([]);
  });

  it('import nothing that does not exist', () => {
    const paths = new Set(files.map((file) => file.path));
    const missing = files.flatMap((file) =>
      file.imports.filter((one) => one.file !== undefined && !paths.has(one.file)).map((one) => one.specifier),
    );
    expect(missing).toEqual([]);
  });

  it('have no cycle', () => {
    expect(findCycle(files)).toBeUndefined();
  });

  it('are all needed by the program', () => {
    const needed = reachable(files, 'src/main.ts');
    expect(files.map((file) => file.path).filter((path) => !needed.has(path))).toEqual([]);
  });

  it('are small: none over 400 lines, half of them at most 120', () => {
    expect(files.filter((file) => file.lines > 400).map((file) => `${file.path}: ${file.lines}`)).toEqual([]);
    const sizes = files.map((file) => file.lines).toSorted((a, b) => a - b);
    expect(sizes[Math.floor(sizes.length / 2)]).toBeLessThanOrEqual(120);
  });

  it('are named for what is in them', () => {
    expect(files.map((file) => file.path).filter((path) => /(util|helper|misc|common)s?\b/i.test(path))).toEqual([]);
  });
});

describe('reading imports', () => {
  it('sees every form', () => {
    const text = [
      "import { a } from './a.ts';",
      "import type { B } from '../b.ts';",
      "import { type C, type D } from '#providers/c';",
      "import {\n  e,\n  type F,\n} from 'zod';",
      "import * as net from 'node:net';",
      "import './g.ts';",
      "export { h } from './h.ts';",
      "export * from './i.ts';",
      "const j = await import('./j.ts');",
      "// import { k } from './k.ts';",
      "/*\nimport { l } from './l.ts';\n*/",
    ].join('\n');
    expect(findImports('src/cli/x.ts', text)).toEqual([
      { specifier: './a.ts', file: 'src/cli/a.ts', typeOnly: false, names: ['a'] },
      { specifier: '../b.ts', file: 'src/b.ts', typeOnly: true, names: ['B'] },
      { specifier: '#providers/c', file: 'providers/c.ts', typeOnly: true, names: ['C', 'D'] },
      { specifier: 'zod', file: undefined, typeOnly: false, names: ['e', 'F'] },
      { specifier: 'node:net', file: undefined, typeOnly: false, names: [] },
      { specifier: './h.ts', file: 'src/cli/h.ts', typeOnly: false, names: ['h'] },
      { specifier: './i.ts', file: 'src/cli/i.ts', typeOnly: false, names: [] },
      { specifier: './g.ts', file: 'src/cli/g.ts', typeOnly: false, names: [] },
      { specifier: './j.ts', file: 'src/cli/j.ts', typeOnly: false, names: [] },
    ]);
  });
});

describe('the rules', () => {
  const refused: readonly (readonly [string, string, string])[] = [
    ['src/cli/plan.ts', "import { PROVIDERS } from '#providers/registry';", 'may not import registry'],
    ['src/service/plan.ts', "import { createProxyProvider } from '#providers/proxy/index';", 'may not import provider'],
    ['src/service/plan.ts', "import { KubeConfig } from '@kubernetes/client-node';", 'only kube'],
    ['src/service/plan.ts', "import type { V1Node } from '@kubernetes/client-node';", 'only kube'],
    ['src/runtime/queue.ts', "import type { Service } from '../kube/wire.ts';", 'may not import kube'],
    ['src/kube/store.ts', "import { reconcile } from '../service/reconcile.ts';", 'may not import service'],
    ['src/loadbalancer/model.ts', "import { readFileSync } from 'node:fs';", 'pure'],
    ['src/loadbalancer/model.ts', "import * as net from 'node:net';", 'pure'],
    ['src/loadbalancer/model.ts', "import { isService } from '../kube/wire.ts';", 'may not import kube'],
    ['src/loadbalancer/model.ts', "import type { Store } from '../kube/store.ts';", 'may not import kube'],
    ['providers/proxy/index.ts', "import { Queue } from '#src/runtime/queue';", 'may not import runtime'],
    ['providers/proxy/index.ts', "import { x } from '../aws/index.ts';", 'do not know each other'],
    ['providers/proxy/index.ts', "import { x } from '../../src/errors.ts';", 'begin with #'],
    ['src/telemetry/log.ts', "import { Controller } from '../runtime/controller.ts';", 'may not import runtime'],
    ['src/errors.ts', "import { x } from './telemetry/log.ts';", 'may not import telemetry'],
    ['src/cli/plan.ts', "import { x } from '#test/fakes/clock';", 'outside src and providers'],
    ['src/stray/x.ts', '', 'no part'],
  ];
  for (const [path, text, why] of refused) {
    it(`refuse ${text || 'a file'} in ${path}`, () => {
      const file = source(path, text || "import 'zod';");
      expect(violations([file]).join()).toContain(why);
    });
  }

  it('find a cycle, however long', () => {
    const files = [
      source('src/kube/a.ts', "import { b } from './b.ts';"),
      source('src/kube/b.ts', "import type { C } from './c.ts';"),
      source('src/kube/c.ts', "import { a } from './a.ts';"),
    ];
    expect(findCycle(files)).toEqual(['src/kube/a.ts', 'src/kube/b.ts', 'src/kube/c.ts', 'src/kube/a.ts']);
  });
});
