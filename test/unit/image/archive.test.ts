import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fullName, writeImage, type ImageArchive, type ImageOptions } from '#image/archive';
import type { ImageFile } from '#image/files';
import { run } from '../../lab/run.ts';

const RUNTIME: readonly ImageFile[] = [
  { path: '/usr/bin/tool', content: 'run me', mode: 0o755 },
  { path: '/bin/link', linkTo: '/usr/bin/tool' },
];
const IMAGE: ImageOptions = {
  name: 'example.test/tool:1.2',
  layers: [RUNTIME, [{ path: '/app/a', content: 'a' }]],
  entrypoint: ['/usr/bin/tool'],
};

describe('images', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'images-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const read = (file: string): Promise<Buffer> => readFile(join(folder, 'unpacked', file));
  const digest = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
  const blob = async (name: string): Promise<Buffer> => {
    const content = await read(`blobs/sha256/${name.replace('sha256:', '')}`);
    expect(`sha256:${digest(content)}`).toBe(name);
    return content;
  };
  const unpack = async ({ path }: ImageArchive): Promise<void> => {
    await run(['mkdir', '-p', join(folder, 'unpacked')]);
    await run(['tar', '-xf', path, '-C', join(folder, 'unpacked')]);
  };

  for (const compressed of [false, true]) {
    it(`are OCI layouts whose digests are those of their content, ${compressed ? '' : 'not '}compressed`, async () => {
      const archive = await writeImage({ ...IMAGE, compressed, env: { MODE: 'x' }, user: '7:7' }, folder);
      await unpack(archive);
      expect(JSON.parse((await read('oci-layout')).toString())).toEqual({ imageLayoutVersion: '1.0.0' });
      const { manifests } = JSON.parse((await read('index.json')).toString());
      expect(manifests).toMatchObject([
        { digest: archive.digest, annotations: { 'io.containerd.image.name': IMAGE.name } },
      ]);
      const manifest = JSON.parse((await blob(archive.digest)).toString());
      const config = JSON.parse((await blob(manifest.config.digest)).toString());
      expect(config.config).toMatchObject({ Entrypoint: ['/usr/bin/tool'], User: '7:7' });
      expect(config.config.Env).toContain('MODE=x');
      const packed: readonly Buffer[] = await Promise.all(
        manifest.layers.map((layer: { readonly digest: string }) => blob(layer.digest)),
      );
      expect(packed.map(({ length }) => length)).toEqual(manifest.layers.map(({ size }: { size: number }) => size));
      const layers = packed.map((content) => (compressed ? gunzipSync(content) : content));
      expect(config.rootfs.diff_ids).toEqual(layers.map((content) => `sha256:${digest(content)}`));
      expect(archive.size).toEqual({ unpacked: sum(layers), packed: sum(packed) });
    });
  }

  it('are what docker load reads, with the same blobs', async () => {
    const archive = await writeImage(IMAGE, folder);
    await unpack(archive);
    const [saved] = JSON.parse((await read('manifest.json')).toString());
    expect(saved.RepoTags).toEqual([IMAGE.name]);
    const manifest = JSON.parse((await blob(archive.digest)).toString());
    const path = (name: string): string => name.replace('sha256:', 'blobs/sha256/');
    expect(saved.Config).toBe(path(manifest.config.digest));
    expect(saved.Layers).toEqual(manifest.layers.map((layer: { readonly digest: string }) => path(layer.digest)));
    const { stdout } = await run(['tar', '-tf', join(folder, 'unpacked', saved.Layers[0])]);
    expect(stdout.trim().split('\n')).toEqual(['bin/', 'bin/link', 'usr/', 'usr/bin/', 'usr/bin/tool']);
  });

  it('are written once for the same content and anew for another', async () => {
    const first = await writeImage(IMAGE, folder);
    expect(await writeImage(IMAGE, folder)).toEqual(first);
    const second = await writeImage({ ...IMAGE, command: ['serve'] }, folder);
    expect(second.digest).not.toBe(first.digest);
    expect(await readdir(folder)).toHaveLength(2);
  });

  it('refuse the same path twice', async () => {
    const layers = [[...RUNTIME, { path: '/usr//bin/tool', content: '' }]];
    await expect(writeImage({ ...IMAGE, layers }, folder)).rejects.toThrow('/usr//bin/tool twice');
  });
});

describe('names of images', () => {
  it.each([
    ['ballast:dev', 'docker.io/library/ballast:dev'],
    ['somebody/ballast:1', 'docker.io/somebody/ballast:1'],
    ['localhost/ballast:1', 'localhost/ballast:1'],
    ['registry.test:5000/ballast:1', 'registry.test:5000/ballast:1'],
  ])('%s is %s in full', (name, full) => {
    expect(fullName(name)).toBe(full);
  });
});

function sum(buffers: readonly Buffer[]): number {
  return buffers.reduce((total, { length }) => total + length, 0);
}
