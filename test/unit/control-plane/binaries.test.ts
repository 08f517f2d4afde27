import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { resolveBinaries } from '../../control-plane/binaries.ts';
import type { BinaryDownload } from '../../control-plane/binary-spec.ts';
import { type FakeGo, installFakeGo, tinySpec, writeExecutable } from './fake-go.ts';
import { temporaryFolder } from './temporary-folder.ts';

const platform = { os: 'linux', arch: 'amd64' };

let folder: string;
let go: FakeGo;
let said: string[];
const progress = (line: string): number => said.push(line);

beforeEach(() => {
  folder = temporaryFolder();
  go = installFakeGo(folder);
  said = [];
  vi.stubEnv('no_proxy', '127.0.0.1');
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
});

function cached(name: string): string {
  return join(folder, 'cache/bin/tiny-v1.2.3-linux-amd64', name);
}

function putIntoCache(name: string): void {
  mkdirSync(join(cached(name), '..'), { recursive: true });
  writeExecutable(cached(name), 'from the cache');
}

/** A server that offers the content at every path, and the download row for it. */
async function offer(content: Buffer, sha256: string = sha256Of(content)): Promise<BinaryDownload> {
  const server = createServer((_request, response) => response.end(content));
  const port = await listen(server);
  onTestFinished(() => {
    server.close();
  });
  return { url: () => `http://127.0.0.1:${port}/tool`, sha256: { 'linux-amd64': sha256 } };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

function sha256Of(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** An address where nothing listens: the port was open a moment ago. */
async function offerNothing(): Promise<BinaryDownload> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return { url: () => `http://127.0.0.1:${port}/tool`, sha256: { 'linux-amd64': '00' } };
}

describe('resolveBinaries', () => {
  it('takes what is in the cache, without a word and without a build', async () => {
    putIntoCache('tool');
    const paths = await resolveBinaries([tinySpec('tool')], { progress, env: go.env, platform });
    expect(paths).toEqual(new Map([['tool', cached('tool')]]));
    expect(said).toEqual([]);
    expect(go.builds()).toEqual([]);
  });

  it('prefers the folder KUBEBUILDER_ASSETS to the cache when the minor version is ours, and says so', async () => {
    putIntoCache('tool');
    writeExecutable(join(folder, 'tool'), '#!/bin/sh\necho Tool v1.2.9');
    const env = { ...go.env, KUBEBUILDER_ASSETS: folder };
    const paths = await resolveBinaries([tinySpec('tool')], { progress, env, platform });
    expect(paths.get('tool')).toBe(join(folder, 'tool'));
    expect(said).toEqual([`tool: using ${join(folder, 'tool')} (v1.2.9) from KUBEBUILDER_ASSETS`]);
  });

  it('leaves a given program of another minor version alone and says why', async () => {
    putIntoCache('tool');
    writeExecutable(join(folder, 'tool'), '#!/bin/sh\necho Tool v1.20.3');
    const env = { ...go.env, KUBEBUILDER_ASSETS: folder };
    const paths = await resolveBinaries([tinySpec('tool')], { progress, env, platform });
    expect(paths.get('tool')).toBe(cached('tool'));
    expect(said[0]).toContain('it is v1.20.3, and v1.2.3 is wanted');
  });

  it('downloads before it builds, into the cache', async () => {
    const download = await offer(Buffer.from('downloaded'));
    const paths = await resolveBinaries([tinySpec('tool', { download })], { progress, env: go.env, platform });
    expect(readFileSync(paths.get('tool') ?? '', 'utf8')).toBe('downloaded');
    expect(paths.get('tool')).toBe(cached('tool'));
    expect(go.builds()).toEqual([]);
  });

  it('unpacks the program of an archive', async () => {
    mkdirSync(join(folder, 'release'));
    writeExecutable(join(folder, 'release/tool'), 'archived');
    const archive = execFileSync('tar', ['-czf', '-', '-C', folder, 'release/tool']);
    const download = { ...(await offer(archive)), archiveMember: () => 'release/tool' };
    await resolveBinaries([tinySpec('tool', { download })], { progress, env: go.env, platform });
    expect(readFileSync(cached('tool'), 'utf8')).toBe('archived');
    expect(readdirSync(join(cached('tool'), '..'))).toEqual(['tool']);
  });

  it('refuses a download whose checksum is not the pinned one, and builds instead', async () => {
    const pinned = sha256Of(Buffer.from('as released'));
    const download = await offer(Buffer.from('tampered with'), pinned);
    await resolveBinaries([tinySpec('tool', { download })], { progress, env: go.env, platform });
    expect(readFileSync(cached('tool'), 'utf8')).toBe('built\n');
    expect(said.join('\n')).toContain(`has SHA-256 ${sha256Of(Buffer.from('tampered with'))}, and ${pinned} is pinned`);
  });

  it('asks a host that cannot be reached only once', async () => {
    const download = await offerNothing();
    const specs = [tinySpec('one', { download }), tinySpec('two', { download })];
    await resolveBinaries(specs, { progress, env: go.env, platform });
    expect(said.filter((line) => line.includes('not downloaded'))).toHaveLength(1);
    expect(go.builds()).toHaveLength(2);
  });

  it('does not download for a platform without a pinned checksum', async () => {
    const download = await offer(Buffer.from('downloaded'));
    const elsewhere = { os: 'linux', arch: 'riscv64' };
    const paths = await resolveBinaries([tinySpec('tool', { download })], {
      progress,
      env: go.env,
      platform: elsewhere,
    });
    expect(readFileSync(paths.get('tool') ?? '', 'utf8')).toBe('built\n');
  });

  it('builds with the flags of the table, and says before how long it will take', async () => {
    const spec = tinySpec('tool');
    const build = { ...spec.build, kind: 'go' as const, package: 'example.test/tool', ldflags: '-s', tags: ['a', 'b'] };
    await resolveBinaries([{ ...spec, build: { ...build, cgo: true } }, tinySpec('other')], {
      progress,
      env: go.env,
      platform,
    });
    expect(go.builds()[0]).toMatch(/^CGO_ENABLED=1 build -trimpath -tags a,b -ldflags -s -o \S+ example\.test\/tool$/);
    expect(go.builds()[1]).toMatch(/^CGO_ENABLED=0 build -trimpath -ldflags -s -w -o \S+ example\.test\/other$/);
    expect(said[0]).toContain('Building tool, other from source, which happens once: about 1 min 50 s');
    expect(said.at(-1)).toMatch(/^\[2\/2\] other: built in \d+ s$/);
  });

  it('estimates less when the upstream was compiled before', async () => {
    putIntoCache('earlier');
    await resolveBinaries([tinySpec('tool')], { progress, env: go.env, platform });
    expect(said[0]).toContain('about 10 s');
  });

  it('builds once when two ask at the same time', async () => {
    const options = { progress, env: go.env, platform };
    const both = await Promise.all([
      resolveBinaries([tinySpec('tool')], options),
      resolveBinaries([tinySpec('tool')], options),
    ]);
    expect(both[0]).toEqual(both[1]);
    expect(go.builds()).toHaveLength(1);
    expect(said.join('\n')).toContain('waiting for it');
  });

  it('keeps nothing of a failed build, and passes on what the compiler said', async () => {
    const failure = resolveBinaries([tinySpec('broken')], { progress, env: go.env, platform });
    await expect(failure).rejects.toThrow('broken.go:1: syntax error');
    expect(readdirSync(join(cached('broken'), '..'))).toEqual([]);
  });

  it('removes what a killed build left half made', async () => {
    mkdirSync(join(cached('tool'), '..'), { recursive: true });
    writeFileSync(join(cached('tool'), '..', '.0-1-2.draft'), 'half');
    await resolveBinaries([tinySpec('tool')], { progress, env: go.env, platform });
    expect(readdirSync(join(cached('tool'), '..'))).toEqual(['tool']);
  });

  it('says what to install when there is no Go', async () => {
    const env = { ...go.env, PATH: '/nowhere' };
    const failure = resolveBinaries([tinySpec('tool')], { progress, env, platform });
    await expect(failure).rejects.toThrow(/There is no `go` in PATH\. Install Go 1\.26.*KUBEBUILDER_ASSETS/);
    expect(existsSync(cached('tool'))).toBe(false);
  });

  it('refuses two programs of one name', async () => {
    const specs = [tinySpec('tool'), tinySpec('tool', { upstream: 'other' })];
    await expect(resolveBinaries(specs, { progress, env: go.env, platform })).rejects.toThrow('names must be unique');
  });
});
