/** Nothing undocumented, and nothing documented that does not exist. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { PROVIDERS } from '#providers/registry';
import { CORE_OPTIONS, environmentVariable } from '#src/config/core-options';
import { CONFIG_OPTION } from '#src/config/sources';
import { ERRORS } from '#src/errors';
import { KNOWN_ANNOTATIONS, SOURCE_RANGES_ANNOTATION } from '#src/loadbalancer/annotations';
import { ACCEPTED, PROGRAMMED, READY } from '#src/loadbalancer/conditions';
import { fill, firstColumn } from './docs/page.ts';
import { REFERENCE, referenceTables } from './docs/reference.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(REFERENCE, 'utf8');
const sources = globSync('{src,providers}/**/*.ts', { cwd: root }).map((path) =>
  readFileSync(join(root, path), 'utf8'),
);
const options = [...CORE_OPTIONS, CONFIG_OPTION, ...Object.values(PROVIDERS).flatMap((provider) => provider.options)];

/** Every group of matches of the pattern in the texts, once, in order. */
function found(pattern: RegExp, texts: readonly string[]): readonly string[] {
  const matches = texts.flatMap((text) => [...text.matchAll(pattern)].map(([whole, group]) => group ?? whole));
  return [...new Set(matches)].toSorted();
}

describe('docs/reference.md', () => {
  it('has the tables that the code makes', async () => {
    // To mend: npm run docs
    expect(page).toBe(fill(page, await referenceTables()));
  });

  it('names every option as flag and as variable, and no other', () => {
    const flags = options.map(({ name }) => `--${name}`);
    const tables = page.slice(page.indexOf('## Options'), page.indexOf('## Annotations'));
    expect(found(/^\| `(--[a-z-]+)` \|/gm, [tables])).toEqual(flags.toSorted());
    const variables = [...options.map(({ name }) => environmentVariable(name)), 'BALLAST_CACHE', 'BALLAST_LAB_ROOT'];
    expect(found(/\bBALLAST_[A-Z_]+\b/g, [page])).toEqual(variables.toSorted());
  });

  it('names every error code, and no other', () => {
    expect(firstColumn(page, '## Error codes')).toEqual(Object.keys(ERRORS));
  });

  it('names every annotation, and no other', () => {
    const known = [...KNOWN_ANNOTATIONS, SOURCE_RANGES_ANNOTATION];
    const documented = [...firstColumn(page, '## Annotations of a Service'), ...firstColumn(page, '### Settings')];
    expect(documented.toSorted()).toEqual(known.toSorted());
  });

  it('names every condition, and no other', () => {
    expect(firstColumn(page, '## Conditions')).toEqual([ACCEPTED, PROGRAMMED, READY]);
  });

  it('names every reason of conditions and events that the code gives, and no other', () => {
    const given = found(/(?:\breason: |\bnotReady\(\s*)'([A-Z]\w+)'/g, sources);
    const documented = [...firstColumn(page, '### Reasons'), ...firstColumn(page, '## Events')];
    expect(documented.toSorted()).toEqual(given);
  });

  it('names the finalizers, and every other name under our prefix', () => {
    expect(firstColumn(page, '## Finalizers')).toEqual([
      'ballast.dev/<provider>',
      'service.kubernetes.io/load-balancer-cleanup',
    ]);
    const inCode = found(/'(ballast\.dev\/[\w-]+)'/g, sources);
    const inPage = found(/\bballast\.dev\/[\w-]+/g, [page]);
    expect(inCode.filter((name) => !inPage.includes(name))).toEqual([]);
    expect(inPage.filter((name) => !inCode.includes(name))).toEqual([]);
  });
});

describe('every other page and manifest', () => {
  const pages = globSync(['*.md', 'docs/*.md', 'manifests/**/*.yaml'], { cwd: root });
  // kube-proxy's, with which the lab is set up.
  const foreign = ['proxy-mode'];
  const names = new Set([...options.map(({ name }) => name), ...foreign]);

  for (const path of pages) {
    it(`${path} speaks only of settings and names that exist`, () => {
      const text = readFileSync(join(root, path), 'utf8');
      const flags = found(/--((?:proxy|leader-elect|metrics)-[a-z-]+)\b/g, [text]);
      expect(flags.filter((name) => !names.has(name))).toEqual([]);
      const variables = found(/\bBALLAST_[A-Z_]+[A-Z]\b/g, [text, page]);
      expect(variables).toEqual(found(/\bBALLAST_[A-Z_]+[A-Z]\b/g, [page]));
      const annotations = found(/^\s*"?(ballast\.dev\/[\w-]+)"?:/gm, [text]);
      expect(annotations.filter((name) => !KNOWN_ANNOTATIONS.includes(name))).toEqual([]);
    });
  }
});
