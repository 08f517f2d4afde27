/** Images from files, without a daemon or a registry. */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { layerEntries, type ImageFile } from './files.ts';
import { tarArchive, type TarEntry } from './tar.ts';

export interface ImageOptions {
  /** Full name with registry and tag, as Pods name it: `registry.k8s.io/pause:3.10.2`. */
  readonly name: string;
  /** What is in the image; what changes least comes first, so that it is stored and sent once. */
  readonly layers: readonly (readonly ImageFile[])[];
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  /** More environment variables; `PATH` is set to the usual folders. */
  readonly env?: Readonly<Record<string, string>>;
  /** `uid:gid`. Default: root. */
  readonly user?: string;
  /** Default `/`. */
  readonly workingDirectory?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Whether layers are compressed with gzip: smaller, and slower to make. Default false. */
  readonly compressed?: boolean;
}

/** An image in a file. */
export interface ImageArchive {
  readonly path: string;
  /** Of the manifest, as registries and `image@sha256:…` name it. */
  readonly digest: string;
  /** Bytes on a node's disk, and bytes that are sent: of all layers together. */
  readonly size: { readonly unpacked: number; readonly packed: number };
}

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly content: Buffer;
}

interface Layer extends Blob {
  /** Digest before compression. */
  readonly diffId: string;
  readonly unpacked: number;
}

/** The search path in every image. */
export const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const OCI = 'application/vnd.oci.image';
/** Every time in an image, so that the same content always makes the same digest. */
const CREATED = '1970-01-01T00:00:00Z';

/**
 * Writes an image as an archive that is both an OCI image layout (image-spec v1.1, `image-layout.md`) and what
 * `docker save` writes, so that `docker load`, `podman load`, `kind load image-archive` and `ctr images import` take
 * it. It lies in `folder` under the hash of its content, so the same image is written once.
 */
export async function writeImage(options: ImageOptions, folder: string): Promise<ImageArchive> {
  const layers = await Promise.all(
    options.layers.map(async (files) => makeLayer(tarArchive(await layerEntries(files)), options, folder)),
  );
  const config = blob(`${OCI}.config.v1+json`, json(imageConfig(options, layers)));
  const manifest = blob(
    `${OCI}.manifest.v1+json`,
    json({
      schemaVersion: 2,
      mediaType: `${OCI}.manifest.v1+json`,
      config: descriptor(config),
      layers: layers.map(descriptor),
    }),
  );
  const slug = options.name.replace(/.*\//, '').replaceAll(/[^a-zA-Z0-9.]+/g, '-');
  const path = join(folder, `${slug}-${hex(manifest).slice(0, 16)}.tar`);
  if (!existsSync(path)) await writeWhole(path, tarArchive(archiveEntries(options.name, manifest, config, layers)));
  const sum = (size: (layer: Layer) => number): number => layers.reduce((total, layer) => total + size(layer), 0);
  return {
    path,
    digest: manifest.digest,
    size: { unpacked: sum(({ unpacked }) => unpacked), packed: sum(({ size }) => size) },
  };
}

/** The name as containerd keeps it: Docker Hub's where none is given. */
export function fullName(name: string): string {
  const [first = '', ...rest] = name.split('/');
  if (rest.length === 0) return `docker.io/library/${name}`;
  return /[.:]|^localhost$/.test(first) ? name : `docker.io/${name}`;
}

/** Compressing takes seconds, so what was compressed once is kept beside the images. */
async function makeLayer(tar: Buffer, { compressed = false }: ImageOptions, folder: string): Promise<Layer> {
  const unpacked = { diffId: sha256(tar), unpacked: tar.length };
  if (!compressed) return { ...blob(`${OCI}.layer.v1.tar`, tar), ...unpacked };
  const file = join(folder, 'layers', `${unpacked.diffId.replace('sha256:', '')}-zlib-${process.versions.zlib}.tar.gz`);
  if (!existsSync(file)) await writeWhole(file, await promisify(gzip)(tar));
  return { ...blob(`${OCI}.layer.v1.tar+gzip`, await readFile(file)), ...unpacked };
}

/** image-spec v1.1, `config.md`. */
function imageConfig(options: ImageOptions, layers: readonly Layer[]): object {
  const env = Object.entries({ PATH, ...options.env }).map(([name, value]) => `${name}=${value}`);
  return {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created: CREATED,
    config: {
      Entrypoint: options.entrypoint,
      Cmd: options.command ?? null,
      Env: env,
      User: options.user ?? '',
      WorkingDir: options.workingDirectory ?? '/',
      ...(options.labels && { Labels: options.labels }),
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created: CREATED })),
  };
}

function archiveEntries(name: string, manifest: Blob, config: Blob, layers: readonly Layer[]): readonly TarEntry[] {
  const annotations = {
    'io.containerd.image.name': fullName(name),
    'org.opencontainers.image.ref.name': name.replace(/.*:/, ''),
  };
  const index = {
    schemaVersion: 2,
    mediaType: `${OCI}.index.v1+json`,
    manifests: [{ ...descriptor(manifest), annotations }],
  };
  const saved = [{ Config: blobPath(config), RepoTags: [name], Layers: layers.map(blobPath) }];
  const blobs = new Map([manifest, config, ...layers].map((each) => [blobPath(each), each.content]));
  const files = [
    ...blobs,
    ['index.json', json(index)] as const,
    ['manifest.json', json(saved)] as const,
    ['oci-layout', json({ imageLayoutVersion: '1.0.0' })] as const,
  ];
  return files.map(([path, content]) => ({ kind: 'file', path, content, mode: 0o644 }));
}

function blob(mediaType: string, content: Buffer): Blob {
  return { mediaType, digest: sha256(content), size: content.length, content };
}

function descriptor({ mediaType, digest, size }: Blob): object {
  return { mediaType, digest, size };
}

function blobPath(each: Blob): string {
  return `blobs/sha256/${hex(each)}`;
}

function hex({ digest }: Blob): string {
  return digest.replace('sha256:', '');
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function sha256(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** Readers see the whole file or none. */
async function writeWhole(file: string, content: Buffer): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const draft = `${file}.${randomUUID()}.draft`;
  try {
    await writeFile(draft, content);
    await rename(draft, file);
  } finally {
    await rm(draft, { force: true });
  }
}
