import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packageFiles, productionFolders } from '#image/packages';

describe('the packages of the program', () => {
  it('are those of the lock file that development alone does not need', () => {
    const lock = JSON.stringify({
      packages: {
        '': { name: 'ballast' },
        'node_modules/a': { version: '1.0.0' },
        'node_modules/a/node_modules/b': { version: '1.0.0', optional: true },
        'node_modules/c': { dev: true },
        'node_modules/d': { devOptional: true },
      },
    });
    expect(productionFolders(lock)).toEqual(['node_modules/a', 'node_modules/a/node_modules/b']);
  });
});

describe('the files of a package', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'packages-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  async function create(...files: readonly string[]): Promise<void> {
    for (const file of files) {
      await mkdir(dirname(join(root, file)), { recursive: true });
      await writeFile(join(root, file), '');
    }
  }

  it('are code and licences, not what people and compilers read, tests, or packages inside', async () => {
    const needed = ['p/LICENSE', 'p/lib/deep/a.mjs', 'p/lib/index.cjs', 'p/package.json', 'p/x.js'];
    await create(...needed, 'p/README.md', 'p/x.d.ts', 'p/x.js.map', 'p/lib/x_test.js', 'p/test/y.js', 'p/docs/z.js');
    await create('p/node_modules/q/index.js');
    expect((await packageFiles(root, 'p')).toSorted()).toEqual(needed);
  });

  it('are none where there is no code', async () => {
    await create('types/package.json', 'types/LICENSE', 'types/index.d.ts');
    expect(await packageFiles(root, 'types')).toEqual([]);
  });
});
