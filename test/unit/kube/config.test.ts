import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadKubeConfig } from '#src/kube/config';
import { inClusterAccess } from '#src/kube/incluster';
import { FakeClock } from '#test/fakes/clock';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ballast-config-'));
});
afterEach(() => rm(folder, { recursive: true }));

interface Config {
  readonly name?: string;
  readonly cluster?: object;
  readonly user?: object;
  readonly context?: object;
  readonly currentContext?: string | undefined;
}

/** A kubeconfig with one cluster, user and context, all of one name. */
function config({ name = 'lab', cluster, user, context, currentContext = name }: Config = {}): string {
  return stringify({
    'current-context': currentContext,
    clusters: [{ name, cluster: { server: `https://${name}.test:6443`, ...cluster } }],
    users: [{ name, user: { token: `token-of-${name}`, ...user } }],
    contexts: [{ name, context: { cluster: name, user: name, ...context } }],
  });
}

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, content);
  return path;
}

async function pod(): Promise<{ env: Record<string, string>; serviceAccountDirectory: string }> {
  await file('sa/token', 'first\n');
  await file('sa/ca.crt', 'PEM');
  await file('sa/namespace', 'ballast-system');
  const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
  return { env, serviceAccountDirectory: join(folder, 'sa') };
}

describe('where the cluster is looked for', () => {
  it('is the flag first, then KUBECONFIG, then the pod, then the home', async () => {
    const path = await file('flag', config({ name: 'flag' }));
    const KUBECONFIG = await file('env', config({ name: 'env' }));
    await file('.kube/config', config({ name: 'home' }));
    const inPod = await pod();
    const all = { ...inPod, env: { ...inPod.env, KUBECONFIG }, home: folder };
    const servers = [
      await loadKubeConfig({ ...all, path }),
      await loadKubeConfig(all),
      await loadKubeConfig({ ...all, env: inPod.env }),
      await loadKubeConfig({ ...all, env: {} }),
      await loadKubeConfig({ ...all, inCluster: true, path }),
      await loadKubeConfig({ ...all, env: inPod.env, inCluster: false }),
      await loadKubeConfig({ ...all, env: inPod.env, context: 'home' }),
    ].map(({ server }) => server);
    expect(servers).toEqual([
      'https://flag.test:6443',
      'https://env.test:6443',
      'https://10.96.0.1:443',
      'https://home.test:6443',
      'https://10.96.0.1:443',
      'https://home.test:6443',
      'https://home.test:6443',
    ]);
  });

  it('ends with an error that names all places', async () => {
    const nowhere = loadKubeConfig({ env: {}, home: folder, serviceAccountDirectory: folder });
    await expect(nowhere).rejects.toMatchObject({
      code: 'InvalidConfig',
      message: expect.stringMatching(/--kubeconfig.*KUBECONFIG.*service account.*\.kube\/config/),
    });
  });

  it('never skips a broken file for the next place', async () => {
    const path = await file('broken', 'clusters: [{');
    await file('.kube/config', config({ name: 'home' }));
    const env = { KUBECONFIG: path };
    await expect(loadKubeConfig({ env, home: folder })).rejects.toMatchObject({
      code: 'InvalidConfig',
      message: expect.stringContaining(`The kubeconfig ${path} cannot be used`),
    });
    await expect(loadKubeConfig({ env: { KUBECONFIG: join(folder, 'no') }, home: folder })).rejects.toMatchObject({
      message: expect.stringContaining('KUBECONFIG names no file that exists'),
    });
  });
});

describe('a kubeconfig', () => {
  it('gives server, namespace and headers of its current context', async () => {
    const path = await file('config', config({ context: { namespace: 'shop' } }));
    const access = await loadKubeConfig({ path });
    expect(access).toMatchObject({
      server: 'https://lab.test:6443',
      namespace: 'shop',
      description: `context "lab" of ${path}`,
      proxyUrl: undefined,
    });
    const proxied = await file('proxied', config({ cluster: { 'proxy-url': 'http://proxy:3128' } }));
    expect((await loadKubeConfig({ path: proxied })).proxyUrl).toBe('http://proxy:3128');
    expect(await access.credentials()).toEqual({ headers: { authorization: 'Bearer token-of-lab' }, tls: {} });
  });

  it('is merged with the others of KUBECONFIG, the first one winning', async () => {
    const first = await file('first', config({ name: 'a', user: { token: 'first' }, currentContext: undefined }));
    const second = await file('second', config({ name: 'b' }));
    const third = await file('third', config({ name: 'a', user: { token: 'third' } }));
    const env = { KUBECONFIG: [first, join(folder, 'missing'), second, third].join(':') };
    const access = await loadKubeConfig({ env });
    expect(access.server).toBe('https://a.test:6443');
    const chosen = await loadKubeConfig({ env, context: 'a' });
    expect((await chosen.credentials()).headers).toEqual({ authorization: 'Bearer first' });
    expect((await loadKubeConfig({ env, context: 'b' })).server).toBe('https://b.test:6443');
  });

  it.each([
    ['a context that is not there', { context: 'prod' }, {}, /has no context "prod"; it has: "lab"/],
    ['no current context', {}, { currentContext: '' }, /has no current-context; choose one of: "lab"/],
    ['a cluster that is not there', {}, { context: { cluster: 'gone' } }, /names the cluster "gone", which is not/],
    ['a user that is not there', {}, { context: { user: 'gone' } }, /names the user "gone", which is not there/],
    ['a server without TLS', {}, { cluster: { server: 'http://10.0.0.1:80' } }, /it must be an https:\/\/ URL/],
    ['a server that is no URL', {}, { cluster: { server: 'lab:6443' } }, /has the server "lab:6443"/],
    ['a proxy of another kind', {}, { cluster: { 'proxy-url': 'ftp://p' } }, /has the proxy-url "ftp:\/\/p"; it must/],
    ['no server', {}, { cluster: { server: undefined } }, /server is missing/],
    [
      'a CA file that is not there',
      {},
      { cluster: { 'certificate-authority': 'ca.pem' } },
      /\/ca\.pem, which .* names/,
    ],
    ['a key file that is not there', {}, { user: { 'client-key': '/no/key' } }, /The file \/no\/key, which/],
  ])('is refused with %s', async (_, options, content, message) => {
    const path = await file('config', config(content));
    await expect(loadKubeConfig({ path, ...options })).rejects.toMatchObject({
      code: 'InvalidConfig',
      message: expect.stringMatching(message),
    });
    await expect(loadKubeConfig({ path, ...options })).rejects.toThrow(path);
  });

  it('may name a server without TLS on this machine, as kubectl proxy is', async () => {
    const path = await file('config', config({ cluster: { server: 'http://127.0.0.1:8001' } }));
    const access = await loadKubeConfig({ path });
    expect(access.server).toBe('http://127.0.0.1:8001');
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer token-of-lab' });
  });

  it('gives the TLS material, reading files anew each time', async () => {
    await file('ca.pem', 'CA');
    const user = {
      token: undefined,
      'client-certificate-data': Buffer.from('CERT').toString('base64'),
      'client-key-data': Buffer.from('KEY').toString('base64'),
    };
    const cluster = { 'certificate-authority': 'ca.pem', 'tls-server-name': 'api', 'insecure-skip-tls-verify': true };
    const access = await loadKubeConfig({ path: await file('config', config({ cluster, user })) });
    const tls = { cert: Buffer.from('CERT'), key: Buffer.from('KEY'), servername: 'api', rejectUnauthorized: false };
    expect(await access.credentials()).toEqual({ headers: {}, tls: { ...tls, ca: Buffer.from('CA') } });
    await file('ca.pem', 'NEW');
    expect(await access.credentials()).toEqual({ headers: {}, tls: { ...tls, ca: Buffer.from('NEW') } });
  });

  it('may have a user with a password, or one who acts as another', async () => {
    const password = { token: undefined, username: 'jane', password: 'secret' };
    const basic = await loadKubeConfig({ path: await file('basic', config({ user: password })) });
    const authorization = `Basic ${Buffer.from('jane:secret').toString('base64')}`;
    expect((await basic.credentials()).headers).toEqual({ authorization });
    const as = await loadKubeConfig({ path: await file('as', config({ user: { as: 'bob' } })) });
    expect((await as.credentials()).headers).toMatchObject({ 'impersonate-user': 'bob' });
  });

  it('may ask a program for the token, again when it has expired', async () => {
    const log = join(folder, 'calls');
    const credential = (token: string, expires: string): string =>
      JSON.stringify({ status: { token, expirationTimestamp: expires } });
    await file('credential', credential('old', '2020-01-01T00:00:00Z'));
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: '/bin/sh',
      args: ['-c', `echo call >> ${log}; cat ${join(folder, 'credential')}`],
    };
    const access = await loadKubeConfig({ path: await file('config', config({ user: { token: undefined, exec } })) });
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer old' });
    await file('credential', credential('new', '2999-01-01T00:00:00Z'));
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer new' });
    await file('credential', credential('unused', '2999-01-01T00:00:00Z'));
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer new' });
  });

  it('says which context has no credentials when the program fails', async () => {
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: '/bin/sh',
      args: ['-c', 'echo no! >&2; exit 1'],
    };
    const path = await file('config', config({ user: { token: undefined, exec } }));
    const access = await loadKubeConfig({ path });
    await expect(access.credentials()).rejects.toMatchObject({
      code: 'ApiForbidden',
      message: `No credentials from context "lab" of ${path}: the program /bin/sh failed; run it by hand to see why.`,
    });
  });
});

describe('in a pod', () => {
  it('the service account gives server, namespace, CA and token', async () => {
    const access = await inClusterAccess(await pod());
    expect(access).toMatchObject({ server: 'https://10.96.0.1:443', namespace: 'ballast-system' });
    expect(await access.credentials()).toEqual({ headers: { authorization: 'Bearer first' }, tls: { ca: 'PEM' } });
  });

  it('an IPv6 address is put into brackets', async () => {
    const { serviceAccountDirectory } = await pod();
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    expect((await inClusterAccess({ env, serviceAccountDirectory })).server).toBe('https://[fd00::1]:443');
  });

  it('the token is read again after a while, and must be there then', async () => {
    const clock = new FakeClock();
    const access = await inClusterAccess({ ...(await pod()), clock });
    await file('sa/token', 'second');
    await clock.advance(29_999);
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer first' });
    await clock.advance(1);
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer second' });
    await rm(join(folder, 'sa/token'));
    await clock.advance(30_000);
    await expect(access.credentials()).rejects.toMatchObject({ code: 'ApiForbidden' });
  });

  it('the token is read again at once when the API server refused it', async () => {
    const access = await inClusterAccess({ ...(await pod()), clock: new FakeClock() });
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer first' });
    await file('sa/token', 'second');
    access.refused?.();
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer second' });
  });

  it('missing parts are named', async () => {
    const { env, serviceAccountDirectory } = await pod();
    await expect(loadKubeConfig({ inCluster: true, env: {}, serviceAccountDirectory })).rejects.toMatchObject({
      code: 'InvalidConfig',
      message: expect.stringContaining('KUBERNETES_SERVICE_HOST'),
    });
    await rm(join(serviceAccountDirectory, 'ca.crt'));
    await expect(loadKubeConfig({ inCluster: true, env, serviceAccountDirectory })).rejects.toMatchObject({
      code: 'InvalidConfig',
      message: expect.stringMatching(/ca\.crt cannot be read\. Is automountServiceAccountToken off/),
    });
  });
});
