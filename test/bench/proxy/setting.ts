/** A lab with Ballast and HAProxy on one machine, side by side in front of the same NodePorts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Service } from '#src/kube/wire';
import { buildImage, Lab } from '#test/lab/lab';
import { startBallast } from '#test/lab/ballast';
import type { LabMachine } from '#test/lab/machine';
import { ensurePackages } from '#test/lab/packages';
import { urlHost } from '#test/lab/traffic';
import { waitFor } from '#test/lab/wait';
import { startHaproxy } from './haproxy.ts';

const FILES_IMAGE = 'ballast.dev/bench/files:1';
/** Large enough that starting a download weighs nothing beside it. */
const FILE_MEGABYTES = 512;
const BUSYBOX = '/bin/busybox';
const WITHIN_MS = 30_000;

/** What is measured with, on top of what a lab needs. */
const PACKAGES = [
  { package: 'haproxy', programs: ['haproxy'] },
  { package: 'wrk', programs: ['wrk'] },
] as const;

/** One way to the pods. */
export interface Way {
  readonly name: 'direct' | 'HAProxy' | 'Ballast';
  /** Answers at once with few bytes. */
  readonly small: string;
  /** Answers with 512 MiB. */
  readonly large: string;
  /** The process in between, if any. */
  readonly pid: number | undefined;
}

export interface Setting extends AsyncDisposable {
  readonly client: LabMachine;
  /** The NodePorts themselves first. */
  readonly ways: readonly Way[];
}

/** Two nodes with one pod of each kind, a client, and the machine with both proxies. */
export async function makeSetting(progress: (line: string) => void): Promise<Setting> {
  await ensurePackages(PACKAGES, { progress });
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'ballast-bench-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const machines = [{ name: 'client' }, { name: 'edge' }];
  const images = [await filesImage()];
  const lab = stack.use(await Lab.up({ name: 'bench', nodes: 2, machines, images, progress }));
  await lab.deployNetexec({ name: 'small', replicas: 2 });
  await deployFiles(lab);
  const edge = lab.machine('edge');
  const ballast = await startBallast(lab, edge);
  const small = await balance(lab, 'small');
  const large = await balance(lab, 'large');
  const nodes = lab.nodes.map(({ addresses }) => addresses.IPv4 ?? '');
  const own = edge.addresses.IPv4 ?? '';
  const targets = (port: number): { host: string; port: number }[] => nodes.map((host) => ({ host, port }));
  const haproxy = await startHaproxy(edge, {
    folder,
    address: own,
    ports: [
      { port: 8001, targets: targets(small.nodePort) },
      { port: 8002, targets: targets(large.nodePort) },
    ],
  });
  const way = (name: Way['name'], pid: number | undefined, one: string, other: string): Way => ({
    name,
    small: `http://${one}/hostname`,
    large: `http://${other}/large`,
    pid,
  });
  const [node = ''] = nodes;
  const ways = [
    way('direct', undefined, `${node}:${small.nodePort}`, `${node}:${large.nodePort}`),
    way('HAProxy', haproxy.pid, `${own}:8001`, `${own}:8002`),
    way('Ballast', ballast.process.pid, urlHost(small.address), urlHost(large.address)),
  ];
  const client = lab.machine('client');
  for (const url of ways.flatMap((each) => [each.small, each.large])) {
    const head = ['curl', '--silent', '--show-error', '--fail', '--range', '0-9', '--output', '/dev/null', url];
    await waitFor({ what: `${url} to answer`, timeoutMs: WITHIN_MS, check: () => client.exec(head) });
  }
  const owned = stack.move();
  return { client, ways, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function filesImage(): Promise<string> {
  const files = [
    { path: BUSYBOX, source: BUSYBOX, mode: 0o755 },
    { path: '/www', directory: true },
  ] as const;
  return buildImage({ name: FILES_IMAGE, files, entrypoint: [BUSYBOX] });
}

/** busybox's httpd with one large file, a pod on each node. */
async function deployFiles(lab: Lab): Promise<void> {
  const labels = { app: 'large' };
  const serve =
    `echo ok > /www/index.html && ${BUSYBOX} truncate -s ${FILE_MEGABYTES}M /www/large && ` +
    `exec ${BUSYBOX} httpd -f -h /www -p 8080`;
  const container = {
    name: 'httpd',
    image: FILES_IMAGE,
    imagePullPolicy: 'Never',
    args: ['sh', '-c', serve],
    readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
  };
  const spread = {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: labels },
  };
  await lab.request('POST', '/apis/apps/v1/namespaces/default/deployments', {
    metadata: { name: 'large' },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { topologySpreadConstraints: [spread], terminationGracePeriodSeconds: 1, containers: [container] },
      },
    },
  });
  await lab.waitForDeployment({ name: 'large' });
}

/** A Service of our class for the pods with this label; its address and NodePort once it has them. */
async function balance(lab: Lab, app: string): Promise<{ readonly address: string; readonly nodePort: number }> {
  const path = '/api/v1/namespaces/default/services';
  await lab.request('POST', path, {
    metadata: { name: app },
    spec: {
      type: 'LoadBalancer',
      loadBalancerClass: 'ballast.dev/proxy',
      selector: { app },
      ports: [{ port: 80, targetPort: 8080 }],
    },
  });
  return waitFor({
    what: `Service ${app} to have an address`,
    timeoutMs: WITHIN_MS,
    check: async () => {
      const { spec, status } = await lab.request<Service>('GET', `${path}/${app}`);
      const address = status?.loadBalancer?.ingress?.[0]?.ip;
      const nodePort = spec?.ports?.[0]?.nodePort;
      return address !== undefined && nodePort !== undefined ? { address, nodePort } : undefined;
    },
  });
}
