/** What docs/security.md says of the controller on a real API server, with the rules that hold by default. */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { FaultProxy } from '#test/chaos/fault-proxy';
import { addresses, condition, refusal, useCluster, type Namespace } from './service/cluster.ts';
import { newPool, startController, type Controller, type ControllerOptions } from './service/controller.ts';
import { POLL, waitFor } from './service/wait.ts';

const MANIFESTS = fileURLToPath(new URL('../../manifests', import.meta.url));
const NAMESPACE = 'ballast-system';
const ACCOUNT = 'ballast-controller';
const USER = `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`;

const cluster = useCluster({ audit: 'Metadata' });
let controller: Controller;
let victim: Namespace;
let thief: Namespace;
let manifests: string;

beforeAll(async () => {
  const { plane } = cluster;
  const built = await plane.kubectl(['kustomize', MANIFESTS]);
  manifests = built.stdout;
  const applied = await plane.kubectl(['apply', '--filename=-'], { input: manifests });
  if (applied.code !== 0) throw new Error(applied.stderr);
  await cluster.createNode({
    metadata: { name: 'honest' },
    status: { addresses: [{ type: 'InternalIP', address: '10.255.255.1' }] },
  });
  await cluster.createNode({
    metadata: { name: 'forged' },
    status: { addresses: [{ type: 'InternalIP', address: '169.254.169.254' }] },
  });
  controller = await startController(cluster, await asInTheCluster());
  victim = await cluster.namespace('victim');
  thief = await cluster.namespace('thief');
});

/** As the ServiceAccount of the manifests, with the defaults, and no health to ask for. */
async function asInTheCluster(): Promise<ControllerOptions> {
  const kubeconfig = await cluster.plane.createServiceAccountKubeconfig(NAMESPACE, ACCOUNT);
  const election = ['--leader-elect', 'true', '--leader-elect-namespace', NAMESPACE];
  return { strict: true, flags: ['--kubeconfig', kubeconfig, '--proxy-health-port', '0', ...election] };
}

describe('the API server', () => {
  it.each(['127.0.0.1', '169.254.169.254', '224.0.0.1', '0.0.0.0'])(
    'takes no endpoint at %s, so that a NodePort cannot lead there',
    async (address) => {
      const slice = {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'made-by-hand', labels: { 'kubernetes.io/service-name': 'web' } },
        addressType: 'IPv4',
        endpoints: [{ addresses: [address] }],
        ports: [{ port: 80 }],
      };
      const path = `/apis/discovery.k8s.io/v1/namespaces/${thief.name}/endpointslices`;
      expect(await refusal(cluster.plane.request('POST', path, slice))).toMatchObject({ status: 422 });
    },
  );

  it('gives nobody a port of the nodes’ own as NodePort or as health check port', async () => {
    const nodePort = thief.create('kubelet', { spec: { ports: [{ port: 80, nodePort: 10_250 }] } });
    const message = expect.stringContaining('not in the valid range');
    expect(await refusal(nodePort)).toMatchObject({ message });
    const check = thief.create('kubelet', { spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: 10_250 } });
    expect(await refusal(check)).toMatchObject({ message });
  });
});

describe('an administrator of one namespace, by Kubernetes’ own role', () => {
  it('may make Services, and neither write their status nor EndpointSlices nor nodes', async () => {
    const { plane } = cluster;
    await plane.request('POST', `/api/v1/namespaces/${thief.name}/serviceaccounts`, { metadata: { name: 'admin' } });
    // A controller that does not run here puts these together to the role `admin`.
    for (const part of ['view', 'edit', 'admin']) {
      const name = `system:aggregate-to-${part}`;
      await plane.request('POST', `/apis/rbac.authorization.k8s.io/v1/namespaces/${thief.name}/rolebindings`, {
        metadata: { name: part },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
        subjects: [{ kind: 'ServiceAccount', name: 'admin', namespace: thief.name }],
      });
    }
    const kubeconfigPath = await plane.createServiceAccountKubeconfig(thief.name, 'admin');
    const may = async (...what: readonly string[]): Promise<string> =>
      (await plane.kubectl(['auth', 'can-i', ...what, '--namespace', thief.name], { kubeconfigPath })).stdout.trim();
    expect(await may('create', 'services')).toBe('yes');
    expect(await may('patch', 'services', '--subresource=status')).toBe('no');
    expect(await may('create', 'endpointslices.discovery.k8s.io')).toBe('no');
    expect(await may('patch', 'nodes', '--subresource=status')).toBe('no');
  });
});

describe('a Service', () => {
  it('may not choose its address, in either form', async () => {
    await victim.create('web');
    const [theirs = ''] = addresses(await victim.untilProgrammed('web'));
    await thief.create('by-annotation', { annotations: { 'ballast.dev/addresses': theirs } });
    await thief.create('by-spec', { spec: { loadBalancerIP: theirs } });
    for (const name of ['by-annotation', 'by-spec']) {
      const refused = await thief.until(name, 'to be refused', (each) => condition(each, 'Accepted') !== undefined);
      expect(condition(refused, 'Accepted')).toMatchObject({ status: 'False', reason: 'AddressNotAllowed' });
      expect(addresses(refused)).toEqual([]);
    }
    expect(addresses(await victim.get('web'))).toEqual([theirs]);
  });

  it('may not join a group of another namespace', async () => {
    await victim.create('shared', { annotations: { 'ballast.dev/load-balancer': 'edge' } });
    await victim.untilProgrammed('shared');
    const annotations = { 'ballast.dev/load-balancer': `${victim.name}/edge` };
    await thief.create('joins', { annotations, spec: { ports: [{ port: 8080 }] } });
    const refused = await thief.until('joins', 'to be refused', (each) => condition(each, 'Accepted') !== undefined);
    expect(condition(refused, 'Accepted')).toMatchObject({ status: 'False', reason: 'GroupNotAllowed' });
    expect(addresses(refused)).toEqual([]);
  });

  it('gets no port of the machine, but its others', async () => {
    await thief.create('ports', {
      spec: {
        ports: [
          { name: 'web', port: 80 },
          { name: 'kubelet', port: 10_250 },
          { name: 'ssh', port: 22 },
        ],
      },
    });
    const served = await thief.untilAddresses('ports');
    const programmed = condition(served, 'Programmed');
    expect(programmed).toMatchObject({ status: 'False', reason: 'PortNotAllowed' });
    const ports = served.status?.loadBalancer?.ingress?.[0]?.ports ?? [];
    expect(ports.flatMap(({ port, error }) => (error === undefined ? [] : port)).toSorted((a, b) => a - b)).toEqual([
      22, 10_250,
    ]);
    expect(thief.steps('ports').filter((step) => /:(22|10250)\//.test(step))).toEqual([]);
  });

  it('has nothing served at its externalIPs', async () => {
    await thief.create('external', { spec: { externalIPs: ['192.0.2.99'] } });
    const service = await thief.untilProgrammed('external');
    expect(addresses(service)).not.toContain('192.0.2.99');
    expect(thief.steps('external').join('\n')).not.toContain('192.0.2.99');
  });

  it('whose status is forged has its true one again, and not the address of another', async () => {
    const [theirs = ''] = addresses(await victim.untilProgrammed('web'));
    await thief.create('liar');
    const [own = ''] = addresses(await thief.untilProgrammed('liar'));
    expect(own).not.toBe(theirs);
    const forged = { status: { loadBalancer: { ingress: [{ ip: theirs, ipMode: 'Proxy' }] } } };
    await cluster.plane.request('PATCH', `/api/v1/namespaces/${thief.name}/services/liar/status`, forged);
    const mended = await thief.until('liar', 'the true address', (each) => addresses(each)[0] === own);
    expect(addresses(mended)).toEqual([own]);
    expect(addresses(await victim.get('web'))).toEqual([theirs]);
  });
});

describe('a node', () => {
  it('that claims the address of the metadata service gets no traffic', async () => {
    await victim.create('targets');
    await victim.untilProgrammed('targets');
    const [step = ''] = victim.steps('targets').filter((each) => /target|node/i.test(each));
    expect(step).not.toContain('169.254');
    const explained = await fetch(`${controller.url}/api/explain?service=${victim.name}/targets`);
    const text = await explained.text();
    expect(text).toContain('forged: its InternalIP 169.254.169.254 is link-local');
    expect(text).toContain('1 may receive traffic: honest.');
  });
});

describe('two Services that want one port of a shared address', () => {
  it('keep what they have over a restart: the younger does not get in first', async () => {
    const options = { strict: true, pool: `${newPool().split('-')[0]}`, flags: ['--default-provider', 'proxy'] };
    await controller.terminate();
    // By name, the younger one would come first.
    const [z, a] = [await cluster.namespace('z'), await cluster.namespace('a')];
    const ports = [{ port: 8443 }];
    let sharing = await startController(cluster, options);
    await z.create('older', { spec: { ports } });
    await z.untilProgrammed('older');
    await a.create('younger', { spec: { ports } });
    await a.until(
      'younger',
      'the port to be refused',
      (each) => condition(each, 'Programmed')?.reason === 'PortConflict',
    );
    for (let restarts = 0; restarts < 2; restarts++) {
      await sharing.kill();
      sharing = await startController(cluster, options);
      await z.create(`probe-${restarts}`, { spec: { ports: [{ port: 9_000 + restarts }] } });
      await z.untilProgrammed(`probe-${restarts}`);
      expect(condition(await z.get('older'), 'Programmed')).toMatchObject({ status: 'True' });
      expect(condition(await a.get('younger'), 'Programmed')).toMatchObject({ reason: 'PortConflict' });
      expect(
        sharing.linesAbout('a/younger').filter((line) => line.includes('8443/TCP') && line.includes('"step"')),
      ).toEqual([]);
    }
    await sharing.terminate();
  });
});

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

interface AuditEvent {
  readonly stage: string;
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly apiGroup?: string; readonly resource: string; readonly subresource?: string };
}

/** What the manifests grant: `group/resource verb`. */
function granted(): readonly string[] {
  const rules = parseAllDocuments(manifests)
    .map((document): { readonly kind: string; readonly rules?: readonly Rule[] } => document.toJS())
    .flatMap(({ kind, rules: list = [] }) => (kind === 'ClusterRole' || kind === 'Role' ? list : []));
  return rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${group}/${resource} ${verb}`))),
  );
}

/** What the controller has asked for, in the same form. */
async function used(): Promise<ReadonlySet<string>> {
  const lines = (await readFile(cluster.plane.auditLogPath, 'utf8')).split('\n').filter((line) => line.includes(USER));
  const events = lines.map((line): AuditEvent => JSON.parse(line)).filter(({ user }) => user.username === USER);
  return new Set(
    events.flatMap(({ verb, objectRef }) => {
      if (!objectRef) return [];
      const { apiGroup = '', resource, subresource } = objectRef;
      return `${apiGroup}/${resource}${subresource ? `/${subresource}` : ''} ${verb}`;
    }),
  );
}

/**
 * The kubeconfig of the manifests' ServiceAccount, whose way to the API server leads through a proxy: somebody else
 * writes first, once for each Service of that name, so that the controller's write meets a conflict and it reads again.
 */
async function withRivals(prefix: string): Promise<{ readonly proxy: FaultProxy; readonly kubeconfig: string }> {
  const { plane } = cluster;
  const proxy = await FaultProxy.start({ target: plane.url, ca: await readFile(plane.caPath, 'utf8') });
  const direct = await plane.createServiceAccountKubeconfig(NAMESPACE, ACCOUNT);
  const kubeconfig = join(dirname(direct), 'rivals.kubeconfig.yaml');
  await writeFile(kubeconfig, (await readFile(direct, 'utf8')).replaceAll(plane.url, proxy.url));
  const met = new Set<string>();
  proxy.before(async ({ method, path, body }) => {
    const [, name = ''] = /\/services\/([^/?]+)\/status/.exec(path) ?? [];
    // Only a write that names the version from which it starts can meet a conflict.
    if (method !== 'PATCH' || !name.startsWith(prefix) || met.has(name) || !body.includes('"resourceVersion"')) return;
    met.add(name);
    await victim.patch(name, { metadata: { labels: { rival: 'was-here' } } });
  });
  return { proxy, kubeconfig };
}

describe('the rights of the manifests', () => {
  it('are all needed: the controller uses each of them', { timeout: 240_000 }, async () => {
    const rivals = await withRivals('churn-');
    const options = await asInTheCluster();
    const flags = [...(options.flags ?? []), '--kubeconfig', rivals.kubeconfig];
    const leader = await startController(cluster, { ...options, flags });
    const follower = await startController(cluster, await asInTheCluster());
    const lacking = async (): Promise<readonly string[]> => {
      const verbs = await used();
      return granted().filter((right) => !verbs.has(right));
    };
    let round = 0;
    await waitFor(
      'every right to be used',
      async () => {
        round += 1;
        // The same thing happens twice, so that its Event is counted up.
        const name = `churn-${round}`;
        await victim.create(name, { spec: { allocateLoadBalancerNodePorts: false } });
        await victim.untilProgrammed(name);
        for (const port of [81, 82, 81]) {
          await victim.patchSpec(name, { ports: [{ port, protocol: 'TCP' }] });
          await victim.untilProgrammed(name);
        }
        return (await lacking()).every((right) => right.endsWith(' watch')) ? true : undefined;
      },
      { timeoutMs: 120_000 },
    ).catch(() => {});
    // A watch is in the audit log once it has ended; the follower's of the Lease is.
    await Promise.all([leader.terminate(), follower.terminate()]);
    await expect.poll(lacking, POLL).toEqual([]);
    await rivals.proxy.close();
  });
});
