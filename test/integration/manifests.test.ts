/** `kubectl apply -k manifests` on a real API server, and the controller as the ServiceAccount that it makes. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { PROVIDERS } from '#providers/registry';
import { loadConfig } from '#src/config';
import { providerSettings } from '#src/cli/context';
import { createApiClient, type ApiClient, type HttpMethod } from '#test/control-plane/api-request';
import { addresses, condition, nodePorts, refusal, useCluster } from './service/cluster.ts';
import { startController, type Controller } from './service/controller.ts';
import { waitFor } from './service/wait.ts';

const MANIFESTS = fileURLToPath(new URL('../../manifests', import.meta.url));
const SAMPLES = `${MANIFESTS}/samples`;
const SAMPLE_SERVICES = ['web', 'web-tcp', 'web-udp', 'web-dual-stack', 'shop', 'blog'];
const NAMESPACE = 'ballast-system';
const ACCOUNT = 'ballast-controller';
const USER = `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`;

const cluster = useCluster({ audit: 'Metadata' });
let account: ApiClient;
let controller: Controller;

beforeAll(async () => {
  const { plane } = cluster;
  const applied = await plane.kubectl(['apply', '-k', MANIFESTS]);
  if (applied.code !== 0) throw new Error(`kubectl apply -k manifests: ${applied.stderr}`);
  const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${ACCOUNT}/token`;
  const { status } = await plane.request<{ readonly status: { readonly token: string } }>('POST', path, {
    spec: { expirationSeconds: 3600 },
  });
  account = createApiClient({ url: plane.url, ca: await readFile(plane.caPath, 'utf8'), token: status.token });
  await cluster.createNode({
    metadata: { name: 'n1' },
    status: {
      addresses: [{ type: 'InternalIP', address: '127.1.0.1' }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });
  controller = await startController(cluster, {
    flags: [
      ['--kubeconfig', await plane.createServiceAccountKubeconfig(NAMESPACE, ACCOUNT)],
      ['--leader-elect', 'true'],
      ['--leader-elect-namespace', NAMESPACE],
    ].flat(),
  });
});
afterAll(() => account?.close());

/** The requests of the controller's user that the API server refused as forbidden. */
async function forbidden(): Promise<readonly string[]> {
  const log = await readFile(cluster.plane.auditLogPath, 'utf8');
  return log
    .split('\n')
    .filter((line) => line.includes(USER) && /"code":403/.test(line))
    .map((line) => String(/"requestURI":"([^"]*)"/.exec(line)?.[1]));
}

describe('the controller as its ServiceAccount', () => {
  it('does all it has to: address, NodePorts, events, Lease and clean end, with nothing refused', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', { spec: { allocateLoadBalancerNodePorts: false } });
    const service = await namespace.untilProgrammed('web');
    expect(addresses(service)).toHaveLength(1);
    expect(nodePorts(service)[0]).toBeGreaterThanOrEqual(30_000);
    await namespace.untilEvent('web', 'EnsuredLoadBalancer');

    const lease = await cluster.plane.request<{ readonly spec: { readonly holderIdentity: string } }>(
      'GET',
      `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/ballast-controller`,
    );
    expect(lease.spec.holderIdentity).not.toBe('');

    await namespace.delete('web');
    await namespace.untilGone('web');
    expect(await forbidden()).toEqual([]);
  });

  it('serves the samples', async () => {
    const namespace = await cluster.namespace();
    const applied = await cluster.plane.kubectl(['apply', '-n', namespace.name, '-f', SAMPLES]);
    expect(applied).toMatchObject({ code: 0, stderr: '' });
    for (const name of SAMPLE_SERVICES) {
      const service = await namespace.untilAddresses(name);
      expect(condition(service, 'Accepted')).toMatchObject({ status: 'True', reason: 'Accepted' });
    }
    const [shop, blog] = [await namespace.get('shop'), await namespace.get('blog')];
    expect(addresses(shop)).toEqual(addresses(blog));
    expect(await forbidden()).toEqual([]);
  });
});

describe('the samples', () => {
  it('are accepted by the API server as they are', async () => {
    const namespace = await cluster.namespace();
    const dry = await cluster.plane.kubectl(['apply', '-n', namespace.name, '--dry-run=server', '-f', SAMPLES]);
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    expect(dry.stdout.trim().split('\n').toSorted()).toEqual(
      ['deployment.apps/web', ...SAMPLE_SERVICES.map((name) => `service/${name}`)]
        .map((object) => `${object} created (server dry run)`)
        .toSorted(),
    );
  });

  it('lead to ports of the pods that they bring, each on a port of its own', async () => {
    const namespace = await cluster.namespace();
    expect(await cluster.plane.kubectl(['apply', '-n', namespace.name, '-f', SAMPLES])).toMatchObject({ code: 0 });
    const deployment = await cluster.plane.request<Deployment>(
      'GET',
      `/apis/apps/v1/namespaces/${namespace.name}/deployments/web`,
    );
    const { metadata, spec } = deployment.spec.template;
    const open = spec.containers
      .flatMap(({ ports }) => ports ?? [])
      .flatMap(({ name, containerPort, protocol }) => [`${name}/${protocol}`, `${containerPort}/${protocol}`]);
    const services = await Promise.all(SAMPLE_SERVICES.map((name) => namespace.get(name)));
    for (const service of services) {
      expect(metadata.labels).toMatchObject(service.spec?.selector ?? { selector: 'none' });
      const targets = (service.spec?.ports ?? []).map(({ targetPort, protocol }) => `${targetPort}/${protocol}`);
      expect(open).toEqual(expect.arrayContaining(targets));
    }
    // So that a pool of one address, which is shared by port, has room for all of them.
    const taken = services
      .flatMap((service) => service.spec?.ports ?? [])
      .map(({ port, protocol }) => `${port}/${protocol}`);
    expect(taken).toEqual([...new Set(taken)]);
  });
});

describe('the ServiceAccount is refused', () => {
  const LEASE = { spec: { holderIdentity: 'somebody' } };
  const attempts: readonly (readonly [string, HttpMethod, string, object?])[] = [
    ['reading Secrets', 'GET', '/api/v1/secrets'],
    ['reading Secrets of its own namespace', 'GET', `/api/v1/namespaces/${NAMESPACE}/secrets`],
    ['reading ConfigMaps', 'GET', `/api/v1/namespaces/${NAMESPACE}/configmaps`],
    ['reading pods', 'GET', '/api/v1/pods'],
    ['creating Services', 'POST', '/api/v1/namespaces/default/services', { metadata: { name: 'made' } }],
    ['deleting Services', 'DELETE', '/api/v1/namespaces/default/services/kubernetes'],
    ['replacing Services', 'PUT', '/api/v1/namespaces/default/services/kubernetes', { metadata: {} }],
    ['changing nodes', 'PATCH', '/api/v1/nodes/n1', { metadata: { labels: { a: 'b' } } }],
    ['changing the status of nodes', 'PATCH', '/api/v1/nodes/n1/status', { status: {} }],
    ['deleting nodes', 'DELETE', '/api/v1/nodes/n1'],
    ['writing endpoints', 'POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', { metadata: {} }],
    ['reading events', 'GET', '/apis/events.k8s.io/v1/events'],
    ['a Lease in another namespace', 'POST', '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases', LEASE],
    ['reading other Leases', 'GET', `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/other`],
    ['listing Leases', 'GET', `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`],
    ['changing other Leases', 'PUT', `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/other`, LEASE],
    ['deleting its Lease', 'DELETE', `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/ballast-controller`],
    ['tokens of its own', 'POST', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${ACCOUNT}/token`, { spec: {} }],
    [
      'changing its rules',
      'PATCH',
      '/apis/rbac.authorization.k8s.io/v1/clusterroles/ballast-controller',
      { rules: [] },
    ],
  ];
  for (const [what, method, path, body] of attempts) {
    it(`may not: ${what}`, async () => {
      expect(await refusal(account.request(method, path, body))).toMatchObject({
        status: 403,
        message: expect.stringContaining(`User "${USER}" cannot`),
      });
    });
  }

  it('but not what it needs', async () => {
    for (const path of ['/api/v1/services', '/api/v1/nodes', '/apis/discovery.k8s.io/v1/endpointslices']) {
      expect(await account.request('GET', path)).toMatchObject({ items: expect.any(Array) });
    }
  });
});

interface Deployment {
  readonly kind: string;
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly terminationGracePeriodSeconds?: number;
        readonly securityContext?: { readonly sysctls?: readonly object[] };
        readonly containers: readonly Container[];
      };
    };
  };
}

interface Container {
  readonly ports?: readonly { readonly name: string; readonly containerPort: number; readonly protocol: string }[];
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
}

/** What the Deployment's variables are in a pod. */
function podVariables(env: Container['env']): Readonly<Record<string, string>> {
  const fields: Readonly<Record<string, string>> = {
    'metadata.namespace': NAMESPACE,
    'status.podIPs': '10.244.1.7,fd00:10:244:1::7',
  };
  const fieldOf = ({ valueFrom }: Container['env'][number]): string =>
    fields[valueFrom?.fieldRef.fieldPath ?? ''] ?? '?';
  return Object.fromEntries(env.map((variable) => [variable.name, variable.value ?? fieldOf(variable)]));
}

describe('the Deployment', () => {
  const variants = [
    {
      folder: 'controller',
      warning: '',
      metricsAddress: { port: 10_270 },
      pool: { 'proxy-addresses': ['10.244.1.7', 'fd00:10:244:1::7'] },
      // Ports below 1024 as nobody in particular. A pod in the machine's network may not have it.
      sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }],
    },
    {
      folder: 'edge',
      // The namespace that was applied before is restricted; this variant opens it.
      warning: expect.stringMatching(/^Warning: would violate PodSecurity "restricted:latest": host namespaces .*\n$/),
      metricsAddress: { host: '127.0.0.1', port: 10_270 },
      pool: { 'proxy-addresses': ['192.0.2.10-192.0.2.20'], 'proxy-interface': 'eth0' },
      sysctls: undefined,
    },
  ] as const;
  for (const { folder, warning, metricsAddress, pool, sysctls } of variants) {
    it(`of manifests/${folder} is accepted as it is, and sets only what the controller understands`, async () => {
      const path = `${MANIFESTS}/${folder}`;
      const dry = await cluster.plane.kubectl(['apply', '--dry-run=server', '-k', path]);
      expect(dry).toMatchObject({ code: 0, stderr: warning });
      const { stdout } = await cluster.plane.kubectl(['kustomize', path]);
      const objects: readonly Deployment[] = parseAllDocuments(stdout).map((document) => document.toJS());
      const deployment = objects.find(({ kind }) => kind === 'Deployment');
      const [container] = deployment?.spec.template.spec.containers ?? [];
      expect(container?.args).toEqual(['controller', '--config=/etc/ballast/ballast.yaml']);
      const { config } = await loadConfig({
        flags: { config: `${path}/ballast.yaml` },
        env: podVariables(container?.env ?? []),
        providers: providerSettings({ providers: PROVIDERS }),
      });
      expect(config).toMatchObject({
        defaultProvider: undefined,
        leaderElection: { namespace: NAMESPACE, name: 'ballast-controller' },
        metricsAddress,
        providerOptions: pool,
      });
      expect(deployment?.spec.template.spec.securityContext?.sysctls).toEqual(sysctls);
      // kubelet kills what has not ended by then.
      const grace = deployment?.spec.template.spec.terminationGracePeriodSeconds ?? 0;
      expect(grace * 1_000).toBeGreaterThan(config.shutdownTimeoutMs + 2_000);
    });
  }

  it('has a second replica that waits, ready, and takes over when the first one ends', async () => {
    const second = await startController(cluster, {
      flags: [
        ['--kubeconfig', await cluster.plane.createServiceAccountKubeconfig(NAMESPACE, ACCOUNT)],
        ['--leader-elect', 'true'],
        ['--leader-elect-namespace', NAMESPACE],
      ].flat(),
    });
    expect(second.linesAbout('this process leads')).toEqual([]);
    const startedAt = performance.now();
    expect(await controller.terminate()).toEqual({ code: 0, signal: null });
    await waitFor('the second replica to lead', () => second.linesAbout('this process leads')[0]);
    // The Lease was given back, so nobody waited for it to run out.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    const namespace = await cluster.namespace();
    await namespace.create('web');
    expect(addresses(await namespace.untilProgrammed('web'))).toHaveLength(1);
  });
});
