import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { buildImage, type ImageFile } from '../../lab/image.ts';
import { run } from '../../lab/run.ts';

const FILES: readonly ImageFile[] = [
  { path: '/usr/bin/tool', content: 'run me', mode: 0o755 },
  { path: '/bin/link', linkTo: '/usr/bin/tool' },
];

describe('images', () => {
  let cache: string;

  beforeEach(async () => {
    cache = await mkdtemp(join(tmpdir(), 'images-'));
    vi.stubEnv('BALLAST_CACHE', cache);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(cache, { recursive: true });
  });

  it('are docker-archives whose digests are those of their content', async () => {
    const name = 'example.test/tool:1.2';
    const archive = await buildImage({ name, files: FILES, entrypoint: ['/usr/bin/tool'], env: { MODE: 'x' } });
    await run(['tar', '-xf', archive, '-C', cache]);
    const read = (file: string): Promise<Buffer> => readFile(join(cache, file));
    const digest = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
    const [manifest] = JSON.parse((await read('manifest.json')).toString());
    expect(manifest.RepoTags).toEqual([name]);
    const config = await read(manifest.Config);
    expect(manifest.Config).toBe(`${digest(config)}.json`);
    const { config: runtime, rootfs } = JSON.parse(config.toString());
    expect(rootfs.diff_ids).toEqual([`sha256:${digest(await read(manifest.Layers[0]))}`]);
    expect(runtime.Entrypoint).toEqual(['/usr/bin/tool']);
    expect(runtime.Env).toContain('MODE=x');
    const { stdout } = await run(['tar', '-tf', join(cache, manifest.Layers[0])]);
    expect(stdout.trim().split('\n')).toEqual(['bin/', 'bin/link', 'usr/', 'usr/bin/', 'usr/bin/tool']);
  });

  it('are written once for the same content and anew for another', async () => {
    const options = { name: 'tool:1', files: FILES, entrypoint: ['/usr/bin/tool'] };
    const first = await buildImage(options);
    expect(await buildImage(options)).toBe(first);
    expect(await buildImage({ ...options, command: ['serve'] })).not.toBe(first);
    expect(await readdir(join(cache, 'images'))).toHaveLength(2);
  });

  it('refuse the same path twice', async () => {
    const files = [...FILES, { path: '/usr//bin/tool', content: '' }];
    await expect(buildImage({ name: 'tool:1', files, entrypoint: ['/x'] })).rejects.toThrow('/usr//bin/tool twice');
  });
});
