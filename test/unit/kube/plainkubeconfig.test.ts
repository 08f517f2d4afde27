import { execFile } from 'node:child_process';
import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plainAccess } from '#src/kube/plainkubeconfig';

const PROGRAM = fileURLToPath(new URL('../../../src/kube/kubeconfig.ts', import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ballast-plain-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function config(cluster: object = {}, user: object = { token: 'secret' }): Promise<string> {
  const path = join(folder, 'config');
  const content = {
    'current-context': 'lab',
    clusters: [{ name: 'lab', cluster: { server: 'https://lab.test:6443/', ...cluster } }],
    users: [{ name: 'lab', user }],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab', namespace: 'shop' } }],
  };
  await writeFile(path, stringify(content));
  return path;
}

describe('a plain kubeconfig', () => {
  it('is read without the client library', async () => {
    await writeFile(join(folder, 'ca.pem'), 'CA');
    const path = await config({ 'certificate-authority': 'ca.pem', 'tls-server-name': 'api' });
    const access = await plainAccess([path], undefined);
    expect(access).toMatchObject({ server: 'https://lab.test:6443', namespace: 'shop', proxyUrl: undefined });
    expect(await access?.credentials()).toEqual({
      headers: { authorization: 'Bearer secret' },
      tls: { ca: Buffer.from('CA'), servername: 'api' },
    });
    const script = `
      import { kubeconfigAccess } from ${JSON.stringify(PROGRAM)};
      import { registerHooks } from 'node:module';
      registerHooks({ load(url, context, next) {
        if (url.includes('@kubernetes')) process.stdout.write('loaded ' + url);
        return next(url, context);
      } });
      await kubeconfigAccess([process.argv[1]]);`;
    const args = ['--conditions=source', '--input-type=module', '--eval', script, path];
    expect((await promisify(execFile)(process.execPath, args)).stdout).toBe('');
  });

  it.each([
    ['a tag that nobody knows', 'users: !!js/function x'],
    ['a key that is a list', '[a, b]: c'],
  ])('is left to the library with %s in it, and the process is not warned', async (_, line) => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const path = join(folder, 'odd');
    await writeFile(path, `${line}\nclusters: []\n`);
    expect(await plainAccess([path], undefined)).toBeUndefined();
    // Warnings come a turn later.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });

  it('may lose its files later, which costs its credentials and says so', async () => {
    const ca = join(folder, 'ca.pem');
    await writeFile(ca, 'CA');
    const access = await plainAccess([await config({ 'certificate-authority': ca })], undefined);
    await unlink(ca);
    await expect(access?.credentials()).rejects.toMatchObject({
      code: 'ApiForbidden',
      message: expect.stringContaining('No credentials from context "lab"'),
    });
  });

  it.each([
    ['a program for the credentials', {}, { exec: { command: 'aws' } }],
    ['another person to act as', {}, { token: 't', as: 'bob' }],
    ['a password', {}, { username: 'jane', password: 'secret' }],
    ['a token that is not text', {}, { token: 17 }],
    ['a proxy', { 'proxy-url': 'http://proxy:3128' }, {}],
    ['unverified TLS', { 'insecure-skip-tls-verify': true }, {}],
    ['no TLS', { server: 'http://127.0.0.1:8001' }, {}],
    ['a file that is not there', { 'certificate-authority': '/no/ca' }, {}],
  ])('is none with %s: the library reads that', async (_, cluster, user) => {
    expect(await plainAccess([await config(cluster, user)], undefined)).toBeUndefined();
  });

  it('is none when the context is not there or the file is broken', async () => {
    expect(await plainAccess([await config()], 'other')).toBeUndefined();
    await writeFile(join(folder, 'config'), 'clusters: [{');
    expect(await plainAccess([join(folder, 'config')], undefined)).toBeUndefined();
  });
});
