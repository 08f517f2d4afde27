import { mkdtemp, readFile, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeRootFileSystem } from '#image/root-file-system';

describe("an image's files in a folder", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rootfs-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('are those of all layers, with their modes whatever the umask', async () => {
    const root = join(folder, 'root');
    const previous = process.umask(0o077);
    try {
      await writeRootFileSystem(
        [
          [
            { path: '/bin/tool', content: 'run me', mode: 0o755 },
            { path: '/tmp', directory: true, mode: 0o1777 },
          ],
          [{ path: '/bin/link', linkTo: '/bin/tool' }],
        ],
        root,
      );
    } finally {
      process.umask(previous);
    }
    const mode = async (path: string): Promise<number> => (await stat(join(root, path))).mode & 0o7777;
    expect(await readFile(join(root, 'bin/tool'), 'utf8')).toBe('run me');
    expect(await readlink(join(root, 'bin/link'))).toBe('/bin/tool');
    expect([await mode('bin'), await mode('bin/tool'), await mode('tmp')]).toEqual([0o755, 0o755, 0o1777]);
  });

  it('are not laid over what is there', async () => {
    await expect(writeRootFileSystem([], folder)).rejects.toThrow('EEXIST');
  });
});
