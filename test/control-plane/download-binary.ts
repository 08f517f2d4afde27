import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EnvHttpProxyAgent, interceptors, request } from 'undici';
import { type BinaryDownload, type Platform, platformName } from './binary-spec.ts';
import { type ProgressLine, withProgress } from './progress.ts';
import { runOrThrow } from './run-command.ts';

/** A machine without a way out must learn that soon: the next way to get the program is waiting. */
const CONNECT_TIMEOUT_MS = 3000;
/** How long an open connection may stay silent. */
const SILENCE_TIMEOUT_MS = 20_000;
const MOST_REDIRECTS = 5;

export interface DownloadOptions {
  readonly platform: Platform;
  /** Beginning of every line: `[2/7] kube-apiserver`. */
  readonly label: string;
  readonly progress: ProgressLine;
  readonly signal?: AbortSignal;
}

/** What the download gave is not what was pinned. */
export class ChecksumError extends Error {
  override readonly name = 'ChecksumError';
}

/**
 * Fetches the program to `draft`. Nothing is unpacked or kept before its SHA-256 matches; throws a `ChecksumError` when
 * it does not, and whatever the network says when the server cannot be reached or refuses.
 */
export async function downloadBinary(download: BinaryDownload, draft: string, options: DownloadOptions): Promise<void> {
  const { platform } = options;
  const wanted = download.sha256[platformName(platform)];
  if (!wanted) throw new Error(`${options.label}: no SHA-256 is pinned for ${platformName(platform)}`);
  const url = download.url(platform);
  const fetched = download.archiveMember ? `${draft}.archive.draft` : draft;
  try {
    const sha256 = await fetchFile(url, fetched, options);
    if (sha256 !== wanted) throw new ChecksumError(`${url} has SHA-256 ${sha256}, and ${wanted} is pinned`);
    if (download.archiveMember) await extractMember(fetched, download.archiveMember(platform), draft);
  } finally {
    if (fetched !== draft) await rm(fetched, { force: true });
  }
}

/** Writes what lies at the address to the file and returns its SHA-256. */
async function fetchFile(url: string, path: string, options: DownloadOptions): Promise<string> {
  const agent = new EnvHttpProxyAgent({ connect: { timeout: CONNECT_TIMEOUT_MS } });
  try {
    const response = await request(url, {
      dispatcher: agent.compose(interceptors.redirect({ maxRedirections: MOST_REDIRECTS })),
      headersTimeout: SILENCE_TIMEOUT_MS,
      bodyTimeout: SILENCE_TIMEOUT_MS,
      ...(options.signal && { signal: options.signal }),
    });
    if (response.statusCode !== 200) {
      await response.body.dump();
      throw new Error(`${url} answered ${response.statusCode}`);
    }
    const hash = createHash('sha256');
    let bytes = 0;
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        bytes += chunk.length;
        done(null, chunk);
      },
    });
    const total = Number(response.headers['content-length']);
    const size = Number.isFinite(total) ? ` of ${megabytes(total)}` : '';
    await withProgress(
      options.progress,
      () => `${options.label}: downloading from ${new URL(url).host}, ${megabytes(bytes)}${size}`,
      () => pipeline(response.body, meter, createWriteStream(path)),
    );
    return hash.digest('hex');
  } finally {
    await agent.destroy();
  }
}

async function extractMember(archive: string, member: string, path: string): Promise<void> {
  const folder = `${path}.unpacked.draft`;
  try {
    await mkdir(folder);
    await runOrThrow('tar', ['-xzf', archive, '-C', folder, member]);
    await rename(join(folder, member), path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
