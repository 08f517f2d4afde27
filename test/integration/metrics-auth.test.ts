/** Metrics for those only whom the cluster lets have them: real tokens of real ServiceAccounts, on a real API server. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent, request as send } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { PROVIDERS } from '#providers/registry';
import { loadConfig } from '#src/config';
import { providerSettings } from '#src/cli/context';
import { createAuthority, issueCertificate } from '#test/control-plane/certificates';
import { freePort } from '#test/control-plane/free-port';
import { ballast } from './ballast.ts';
import { useCluster } from './service/cluster.ts';
import { startController, type Controller } from './service/controller.ts';
import { waitFor } from './service/wait.ts';

const MANIFESTS = fileURLToPath(new URL('../../manifests', import.meta.url));
const NAMESPACE = 'ballast-system';
const ACCOUNTS = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`;
const REVIEWS = /"requestURI":"\/apis\/authentication.k8s.io\/v1\/tokenreviews"/;

const cluster = useCluster({ audit: 'Metadata' });
let folder: string;
let caFile: string;
let agent: Agent;
let url: string;
let controller: Controller;
let kustomized: readonly Record<string, unknown>[];

beforeAll(async () => {
  const { plane } = cluster;
  folder = await mkdtemp(join(tmpdir(), 'ballast-metrics-auth-'));
  const authority = await createAuthority(folder, 'metrics');
  const server = { name: 'tls', commonName: 'ballast', hosts: ['127.0.0.1'], usage: 'serverAuth' } as const;
  const pair = await issueCertificate(authority, folder, server);
  caFile = authority.certificatePath;
  agent = new Agent({ connections: 16, connect: { ca: await readFile(caFile, 'utf8') } });

  // The overlay that the component's comment shows, beside the manifests by links.
  const overlay = join(folder, 'overlay');
  await mkdir(overlay);
  for (const part of ['controller', 'metrics-auth']) await symlink(join(MANIFESTS, part), join(folder, part));
  await writeFile(join(overlay, 'kustomization.yaml'), 'resources: [../controller]\ncomponents: [../metrics-auth]\n');
  const built = await plane.kubectl(['kustomize', overlay]);
  if (built.code !== 0) throw new Error(built.stderr);
  kustomized = parseAllDocuments(built.stdout).map((document): Record<string, unknown> => document.toJS());
  const applied = await plane.kubectl(['apply', '--filename=-'], { input: built.stdout });
  if (applied.code !== 0) throw new Error(applied.stderr);
  for (const [name, roles] of [
    ['scraper', ['ballast-metrics-reader']],
    ['operator', ['ballast-metrics-reader', 'ballast-plan-reader']],
    ['stranger', []],
  ] as const) {
    await plane.request('POST', ACCOUNTS, { metadata: { name } });
    for (const role of roles) {
      await plane.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
        metadata: { name: `${name}-${role}` },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects: [{ kind: 'ServiceAccount', name, namespace: NAMESPACE }],
      });
    }
  }
  const port = await freePort();
  url = `https://127.0.0.1:${port}`;
  controller = await startController(cluster, {
    metricsUrl: url,
    metricsCa: caFile,
    flags: [
      ['--kubeconfig', await plane.createServiceAccountKubeconfig(NAMESPACE, 'ballast-controller')],
      ['--metrics-bind-address', `127.0.0.1:${port}`],
      ['--metrics-tls-cert-file', pair.certificatePath],
      ['--metrics-tls-key-file', pair.keyPath],
      ['--metrics-auth', 'token'],
    ].flat(),
  });
});
afterAll(async () => {
  await agent?.destroy();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

async function tokenOf(account: string): Promise<string> {
  const { status } = await cluster.plane.request<{ readonly status: { readonly token: string } }>(
    'POST',
    `${ACCOUNTS}/${account}/token`,
    { spec: { expirationSeconds: 3600 } },
  );
  return status.token;
}

async function get(path: string, token?: string): Promise<{ readonly status: number; readonly text: string }> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const { statusCode, body } = await send(`${url}${path}`, { dispatcher: agent, headers });
  return { status: statusCode, text: await body.text() };
}

/** How many TokenReviews the API server has seen. */
async function reviews(): Promise<number> {
  const lines = (await readFile(cluster.plane.auditLogPath, 'utf8')).split('\n');
  return lines.filter((line) => REVIEWS.test(line) && line.includes('"stage":"ResponseComplete"')).length;
}

describe('the component manifests/metrics-auth', () => {
  it('sets what the controller understands, and has kubelet ask over TLS', async () => {
    const deployment = kustomized.find(({ kind }) => kind === 'Deployment');
    const text = JSON.stringify(deployment);
    const env = Object.fromEntries(
      [...text.matchAll(/"name":"(BALLAST_[A-Z_]+)","value":"([^"]*)"/g)].map(([, name, value]) => [name, value]),
    );
    const { config } = await loadConfig({ flags: {}, env, providers: providerSettings({ providers: PROVIDERS }) });
    expect(config).toMatchObject({
      metricsAuth: 'token',
      metricsAddress: { port: 10_270 },
      metricsTls: { certFile: '/etc/ballast-metrics/tls.crt', keyFile: '/etc/ballast-metrics/tls.key' },
    });
    expect(text.match(/"scheme":"HTTPS"/g)).toHaveLength(3);
    expect(text).toContain('"mountPath":"/etc/ballast-metrics"');
  });
});

describe('the metrics of a controller that asks for tokens', () => {
  it('are for who may have them, and for nobody else', async () => {
    const [scraper, operator, stranger] = await Promise.all(['scraper', 'operator', 'stranger'].map(tokenOf));
    expect(await get('/metrics', scraper)).toMatchObject({ status: 200, text: expect.stringContaining('ballast_') });
    expect(await get('/api/plan', scraper)).toMatchObject({
      status: 403,
      text: `system:serviceaccount:${NAMESPACE}:scraper may not get this\n`,
    });
    expect(await get('/api/plan', operator)).toMatchObject({ status: 200, text: expect.stringContaining('plans') });
    expect(await get('/metrics', stranger)).toMatchObject({ status: 403 });
    expect(await get('/metrics')).toMatchObject({ status: 401 });
    expect(await get('/metrics', 'not-a-token')).toMatchObject({ status: 401 });
    expect(await get('/metrics', `${scraper}x`)).toMatchObject({ status: 401 });
    expect(await get('/healthz')).toMatchObject({ status: 200 });
    expect(await get('/readyz')).toMatchObject({ status: 200 });
  });

  it('cost the API server one review for many requests, and few for many tokens', async () => {
    const token = await tokenOf('scraper');
    const before = await reviews();
    const many = await Promise.all(Array.from({ length: 20 }, () => get('/metrics', token)));
    expect(many.map(({ status }) => status)).toEqual(Array<number>(20).fill(200));
    await expect.poll(reviews, { timeout: 20_000 }).toBe(before + 1);

    const startedAt = performance.now();
    const guesses = await Promise.all(Array.from({ length: 100 }, (_, index) => get('/metrics', `guess-${index}`)));
    const seconds = Math.ceil((performance.now() - startedAt) / 1_000);
    expect(guesses.filter(({ status }) => status !== 401 && status !== 429)).toEqual([]);
    // A burst of 20, and five a second after that.
    expect((await reviews()) - before - 1).toBeLessThanOrEqual(20 + 5 * seconds);
  });

  it('are what ballast plan gets with a token, and not without', async () => {
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, await tokenOf('operator'));
    const way = [`--kubeconfig=${cluster.plane.kubeconfigPath}`, `--controller=${url}`, '-A', '-o', 'json'];
    const ca = `--controller-ca-file=${caFile}`;
    const token = `--controller-token-file=${tokenFile}`;
    const [asked, without, distrustful] = await Promise.all([
      ballast(['plan', ...way, ca, token]),
      ballast(['plan', ...way, ca]),
      ballast(['plan', ...way, token]),
    ]);
    expect(asked).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(asked.stdout)).toMatchObject({ source: 'controller' });
    expect(without).toMatchObject({ code: 1, stderr: expect.stringContaining('--controller-token-file') });
    expect(distrustful).toMatchObject({ code: 1, stderr: expect.stringContaining('certificate') });
  });

  it('are what the example of `ballast plan --help` for another machine gets', async () => {
    const tokenFile = join(folder, 'token-of-the-example');
    await writeFile(tokenFile, await tokenOf('operator'));
    const { stdout } = await ballast(['plan', '--help']);
    const examples = [...stdout.matchAll(/^ {2}ballast (plan --controller (http\S+)(?: --\S+ [\w.-]+)*)/gm)];
    const elsewhere = examples.find(([, , to]) => to?.startsWith('https:'))?.[1] ?? 'no such example';
    const argv = elsewhere.split(' ').map((word) => {
      if (word.startsWith('https:')) return url;
      return { 'ca.crt': caFile, token: tokenFile }[word] ?? word;
    });
    const asked = await ballast([...argv, '-o', 'json'], { KUBECONFIG: cluster.plane.kubeconfigPath });
    expect(asked).toMatchObject({ code: 0, stdout: expect.stringContaining('"source": "controller"') });
    // Without TLS the controller answers its own machine only, so the other examples name that.
    const others = examples.map(([, , to]) => to ?? '').filter((to) => !to.startsWith('https:'));
    expect(others.map((to) => new URL(to).hostname)).toEqual(['127.0.0.1']);
  });

  it('are for nobody while the API server cannot be asked; kubelet still gets its answers', async () => {
    const token = await tokenOf('scraper');
    await cluster.plane.killApiServer();
    try {
      expect(await get('/metrics', token)).toMatchObject({ status: 503 });
      expect(await get('/healthz')).toMatchObject({ status: 200 });
    } finally {
      await cluster.plane.restartApiServer();
    }
    await waitFor('the token to be good again', async () =>
      (await get('/metrics', token)).status === 200 ? true : undefined,
    );
  });

  it('leave no token in the log', async () => {
    const token = await tokenOf('scraper');
    await get('/metrics', token);
    await get('/metrics', 'a-token-that-is-nobodys');
    await controller.terminate();
    expect(controller.linesAbout('').length).toBeGreaterThan(5);
    for (const secret of [token, token.split('.')[2] ?? token, 'a-token-that-is-nobodys']) {
      expect(controller.linesAbout(secret)).toEqual([]);
    }
  });
});
