import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { cacheRoot } from '../control-plane/binary-cache.ts';
import { thisPlatform } from '../control-plane/binary-spec.ts';
import { tarArchive, type TarEntry } from './tar.ts';

/** A file, folder or link of an image; folders above it come by themselves (root's, mode 755). */
export type ImageFile =
  /** A copy of a file of this machine. */
  | { readonly path: string; readonly source: string; readonly mode?: number }
  | { readonly path: string; readonly content: string | Buffer; readonly mode?: number }
  | { readonly path: string; readonly linkTo: string }
  | { readonly path: string; readonly directory: true; readonly mode?: number };

export interface ImageOptions {
  /** Full name with registry and tag, as Pods name it: `registry.k8s.io/pause:3.10.2`. */
  readonly name: string;
  /** Everything in the image; absolute paths. Two entries may not have the same path. */
  readonly files: readonly ImageFile[];
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  /** More environment variables; `PATH` is set to the usual folders. */
  readonly env?: Readonly<Record<string, string>>;
  /** `uid:gid`. Default: root. */
  readonly user?: string;
  /** Default `/`. */
  readonly workingDirectory?: string;
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const DEFAULT_FILE_MODE = 0o644;
const DEFAULT_FOLDER_MODE = 0o755;

/**
 * Makes an image of one layer without a daemon or a registry: a docker-archive, the format of `docker save`, which
 * `ctr images import` takes. Returns the path of the archive; it lies in the cache under the hash of its content, so
 * the same image is written once.
 */
export async function buildImage(options: ImageOptions): Promise<string> {
  const layer = tarArchive(await layerEntries(options.files));
  const layerDigest = sha256(layer);
  const config = Buffer.from(JSON.stringify(imageConfig(options, layerDigest)));
  const configDigest = sha256(config);
  const slug = options.name.replace(/.*\//, '').replaceAll(/[^a-zA-Z0-9.]+/g, '-');
  const file = join(cacheRoot(process.env), 'images', `${slug}-${configDigest.slice(0, 16)}.tar`);
  if (existsSync(file)) return file;
  const manifest = [{ Config: `${configDigest}.json`, RepoTags: [options.name], Layers: [`${layerDigest}/layer.tar`] }];
  const archive = tarArchive([
    { kind: 'file', path: `${configDigest}.json`, content: config, mode: DEFAULT_FILE_MODE },
    { kind: 'file', path: `${layerDigest}/layer.tar`, content: layer, mode: DEFAULT_FILE_MODE },
    { kind: 'file', path: 'manifest.json', content: Buffer.from(JSON.stringify(manifest)), mode: DEFAULT_FILE_MODE },
  ]);
  await writeWhole(file, archive);
  return file;
}

/** The files in the order of their paths, each folder before what is in it. */
async function layerEntries(files: readonly ImageFile[]): Promise<readonly TarEntry[]> {
  const entries = new Map<string, TarEntry>();
  for (const file of files) {
    const path = posix.relative('/', posix.normalize(file.path));
    if (entries.has(path)) throw new Error(`The image has ${file.path} twice`);
    entries.set(path, await layerEntry(path, file));
  }
  for (const path of Array.from(entries.keys())) {
    for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder)) {
      if (!entries.has(folder)) entries.set(folder, { kind: 'directory', path: folder, mode: DEFAULT_FOLDER_MODE });
    }
  }
  return [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function layerEntry(path: string, file: ImageFile): Promise<TarEntry> {
  if ('linkTo' in file) return { kind: 'symlink', path, target: file.linkTo };
  if ('directory' in file) return { kind: 'directory', path, mode: file.mode ?? DEFAULT_FOLDER_MODE };
  const content = 'source' in file ? await readFile(file.source) : Buffer.from(file.content);
  return { kind: 'file', path, content, mode: file.mode ?? DEFAULT_FILE_MODE };
}

/** The OCI image configuration, as far as containerd reads it. */
function imageConfig(options: ImageOptions, layerDigest: string): object {
  const env = Object.entries({ PATH, ...options.env }).map(([name, value]) => `${name}=${value}`);
  const created = '1970-01-01T00:00:00Z';
  return {
    architecture: thisPlatform().arch,
    os: 'linux',
    created,
    config: {
      Entrypoint: options.entrypoint,
      Cmd: options.command ?? null,
      Env: env,
      User: options.user ?? '',
      WorkingDir: options.workingDirectory ?? '/',
    },
    rootfs: { type: 'layers', diff_ids: [`sha256:${layerDigest}`] },
    history: [{ created }],
  };
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

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
