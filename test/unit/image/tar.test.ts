import { mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../lab/run.ts';
import { tarArchive } from '#image/tar';

describe('tar archives', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tar-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('are what tar unpacks: files, modes, folders, links, and paths of more than 100 bytes', async () => {
    const long = `${'deep/'.repeat(30)}file`;
    const archive = tarArchive([
      { kind: 'directory', path: 'bin', mode: 0o755 },
      { kind: 'file', path: 'bin/tool', content: Buffer.from('x'.repeat(513)), mode: 0o750 },
      { kind: 'symlink', path: 'bin/link', target: '/bin/tool' },
      { kind: 'file', path: long, content: Buffer.from('far down'), mode: 0o644 },
      { kind: 'file', path: 'empty', content: Buffer.alloc(0), mode: 0o644 },
    ]);
    await writeFile(join(folder, 'a.tar'), archive);
    await run(['tar', '-xf', 'a.tar'], { directory: folder });
    expect(await readFile(join(folder, 'bin/tool'), 'utf8')).toBe('x'.repeat(513));
    expect((await stat(join(folder, 'bin/tool'))).mode & 0o777).toBe(0o750);
    expect(await readlink(join(folder, 'bin/link'))).toBe('/bin/tool');
    expect(await readFile(join(folder, long), 'utf8')).toBe('far down');
    expect((await stat(join(folder, 'empty'))).size).toBe(0);
  });

  it('are the same bytes for the same entries', () => {
    const make = (): Buffer => tarArchive([{ kind: 'file', path: 'a', content: Buffer.from('b'), mode: 0o644 }]);
    expect(make().equals(make())).toBe(true);
    expect(make().length % 512).toBe(0);
  });

  it('refuse what the format cannot hold', () => {
    const path = 'x'.repeat(101);
    expect(() => tarArchive([{ kind: 'file', path, content: Buffer.alloc(0), mode: 0o644 }])).toThrow(
      'too long for tar',
    );
    expect(() => tarArchive([{ kind: 'symlink', path: 'a', target: path }])).toThrow('target of a is too long');
  });
});
