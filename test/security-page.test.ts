/** Every test that docs/security.md names exists, and is about what it says. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(`${root}docs/security.md`, 'utf8');
const named = [...page.matchAll(/`((?:test|src)\/[\w./-]+\.ts)`(?: “([^”]+)”)?/g)].map(([, path = '', name]) => ({
  path,
  name,
}));
const rows = page.split('\n').filter((line) => line.startsWith('| ') && line.split(' | ').length === 4);

describe('docs/security.md', () => {
  it('names a test in every row of a threat', () => {
    const threats = rows.filter((row) => !row.startsWith('| threat'));
    expect(threats.length).toBeGreaterThan(20);
    expect(threats.filter((row) => !/`test\/[\w./-]+\.ts`/.test(row) && !row.endsWith('| the same |'))).toEqual([]);
  });

  it('names files that exist, and tests that they hold', () => {
    expect(named.length).toBeGreaterThan(25);
    const missing = named.filter(
      ({ path, name }) =>
        !existsSync(root + path) ||
        (name !== undefined &&
          !readFileSync(root + path, 'utf8')
            .replaceAll(/'\s*\+\s*'/g, '')
            .includes(name)),
    );
    expect(missing).toEqual([]);
  });
});
