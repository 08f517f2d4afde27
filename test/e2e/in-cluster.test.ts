/** The controller in the cluster: its image, its manifests, and what happens to its pods while its addresses are used. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ImageArchive } from '#image/archive';
import { writeBallastImage } from '#image/ballast-image';
import {
  applyBallast,
  applyEdge,
  BALLAST_NAMESPACE,
  ballastPods,
  type BallastPod,
  labelEdgeNodes,
  leadingPod,
  leaseHolder,
  loadBallastImage,
  untilBallastReady,
} from '#test/lab/ballast-pods';
import { imageFolder } from '#test/lab/image';
import { type LabMachine, LabRequestError } from '#test/lab/lab';
import { runPageCommands } from '#test/lab/page-commands';
import { connectFailures, describeLoad, fetchOnce, Load, type LoadSummary } from '#test/lab/traffic';
import { waitFor } from '#test/lab/wait';
import { addressesOf, createService, type LabService } from './service.ts';
import { useLab } from './support.ts';

/** n1 and n2 are the edge nodes; what the Service leads to is on n3, which nothing happens to. */
const world = useLab({ nodes: 3, machines: [{ name: 'client' }, { name: 'before' }, { name: 'after' }] });
const EDGE = ['n1', 'n2'];
/** The default of --leader-elect-lease-duration. */
const LEASE_SECONDS = 15;

let image: ImageArchive;
let web: LabService;

beforeAll(async () => {
  const { lab } = world;
  image = await loadBallastImage(lab);
  await lab.deployNetexec({ name: 'web', replicas: 2, nodeSelector: { 'kubernetes.io/hostname': 'n3' } });
});

afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return;
  const controllers = ['-n', BALLAST_NAMESPACE, '-l', 'app.kubernetes.io/component=controller'];
  for (const command of [
    ['get', 'pods', '-o', 'wide'],
    ['logs', '--prefix', '--tail=10'],
  ]) {
    const said = await world.lab.kubectl([...command, ...controllers], { check: false });
    console.log(said.stdout + said.stderr);
  }
});

const url = async (): Promise<string> => {
  const [address = 'none'] = addressesOf(await web.get());
  return `http://${address}/hostname`;
};

async function untilAnswering(timeoutMs = 60_000): Promise<void> {
  const check = async (): Promise<string> => fetchOnce(world.machine('client'), await url(), 2);
  await waitFor({ what: 'the Service to answer', timeoutMs, check });
}

/** Requests on the Service's present address, from before `work` until after it. */
async function underLoad(what: string, work: () => Promise<void>): Promise<LoadSummary> {
  const load = await Load.start(world.machine('client'), {
    url: await url(),
    rate: 50,
    seconds: 170,
    timeoutMs: 3_000,
  });
  let summary: LoadSummary | undefined;
  try {
    await delay(1_000);
    await work();
    await untilAnswering();
    await delay(1_000);
  } finally {
    summary = await load.finish();
    world.report(`${what}: ${describeLoad(summary)}`);
  }
  return summary;
}

/** The share of requests that failed though their connection was made. */
function cutShort(summary: LoadSummary): number {
  return (summary.sent - summary.succeeded - connectFailures(summary)) / summary.sent;
}

/** A port that the kernel gives nobody by itself. */
const SLOW_PORT = 61_001;

/** Makes a connection on which the answer takes seconds. Resolves when it is made, with the promise of its answer. */
async function beginSlowRequest(): Promise<{ readonly answer: Promise<string> }> {
  const client = world.machine('client');
  const slow = (await url()).replace('hostname', `shell?shellCommand=${encodeURIComponent('sleep 3; echo done')}`);
  const answer = client
    .exec(['curl', '-sS', '--max-time', '20', '--local-port', String(SLOW_PORT), slow], { timeoutMs: 30_000 })
    .then(({ stdout }) => stdout);
  const made = waitFor({
    what: 'the slow request to be under way',
    timeoutMs: 20_000,
    intervalMs: 50,
    check: async () => {
      const { stdout } = await client.exec(['ss', '-Htn', 'state', 'established', `sport = :${SLOW_PORT}`]);
      return stdout !== '' || undefined;
    },
  });
  // Whichever fails first says why.
  await Promise.race([made, answer.then(() => made)]);
  return { answer };
}

/** Runs a program of Node's in the pod's container and gives what it prints. */
async function evaluate(pod: BallastPod, program: string, check = true): Promise<string> {
  const command = ['exec', '-n', BALLAST_NAMESPACE, pod.metadata.name, '--', 'node', '-e', program];
  return (await world.lab.kubectl(command, { check, timeoutMs: 90_000 })).stdout.trim();
}

/** What the kernel says of the controller's process: `CapEff`, `VmRSS`, … */
async function processStatus(pod: BallastPod): Promise<Readonly<Record<string, string>>> {
  const text = await evaluate(pod, "process.stdout.write(require('fs').readFileSync('/proc/1/status'))");
  return Object.fromEntries(text.split('\n').map((line) => line.split(/:\s*/, 2)));
}

/** By Linux' capability.h: NET_BIND_SERVICE is 10, NET_ADMIN is 12. */
const EDGE_CAPABILITIES = (1 << 10) | (1 << 12);

async function capabilities(pod: BallastPod): Promise<readonly number[]> {
  const status = await processStatus(pod);
  return ['CapPrm', 'CapEff', 'CapBnd', 'CapInh', 'CapAmb'].map((name) => Number.parseInt(status[name] ?? '', 16));
}

describe('the image', () => {
  it('is the same whenever it is made, and small', async () => {
    expect((await writeBallastImage(imageFolder())).digest).toBe(image.digest);
    const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
    world.report(`image: ${mebibytes(image.size.packed)} MiB compressed, ${mebibytes(image.size.unpacked)} on a node`);
    expect(mebibytes(image.size.packed)).toBeLessThan(64);
  });
});

/** `ballast explain` in the pod that only follows: it names the leader, and calls nothing undone that it cannot see. */
async function expectHonestFollower(leader: BallastPod): Promise<void> {
  const follower = (await ballastPods(world.lab)).find(({ metadata }) => metadata.uid !== leader.metadata.uid);
  const command = ['exec', '-n', BALLAST_NAMESPACE, follower?.metadata.name ?? 'none', '--', 'ballast'];
  const { stdout } = await world.lab.kubectl([...command, 'explain', 'svc/web', '-n', 'default']);
  expect(stdout).toContain('Every decision says yes');
  expect(stdout).toMatch(new RegExp(`✓ leader +The controller ${await leaseHolder(world.lab)} leads`));
  expect(stdout).not.toMatch(/^. . (address|plan|traffic) /m);
}

describe('kubectl apply -k manifests', () => {
  it('gives two ready replicas on two nodes, where only restricted pods may run, and a Service that answers', async () => {
    const { lab } = world;
    await applyBallast(lab);
    const pods = await ballastPods(lab);
    expect(new Set(pods.map(({ spec }) => spec.nodeName)).size).toBe(2);
    web = await createService(lab, 'web', 'web');
    const leader = await leadingPod(lab);
    expect(await web.address()).toBe(leader.status.podIP);
    await untilAnswering();

    const path = `/api/v1/namespaces/${BALLAST_NAMESPACE}/pods`;
    const privileged = {
      metadata: { name: 'other' },
      spec: { hostNetwork: true, containers: [{ name: 'a', image: 'b' }] },
    };
    const refused = await lab.request('POST', path, privileged).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(LabRequestError);
    expect(refused).toMatchObject({ status: 403, message: expect.stringContaining('PodSecurity "restricted') });
  });

  it('runs it as nobody in particular, without capabilities, on a root file system that it cannot write', async () => {
    const leader = await leadingPod(world.lab);
    expect(await processStatus(leader)).toMatchObject({
      Uid: expect.stringMatching(/^65532\s/),
      Gid: expect.stringMatching(/^65532\s/),
      NoNewPrivs: '1',
      Seccomp: '2',
    });
    expect(await capabilities(leader)).toEqual([0, 0, 0, 0, 0]);
    const write = "try { require('fs').writeFileSync('/opt/ballast/x', '') } catch (error) { console.log(error.code) }";
    expect(await evaluate(leader, write)).toBe('EROFS');
  });

  it('bounds its heap by the memory limit, and needs far less', async () => {
    const leader = await leadingPod(world.lab);
    const program = "console.log(process.constrainedMemory(), require('v8').getHeapStatistics().heap_size_limit)";
    const [limit = 0, heap = 0] = (await evaluate(leader, program)).split(' ').map(Number);
    expect(limit).toBe(512 * 2 ** 20);
    expect(heap).toBeLessThan(limit * 0.6);
    const { VmRSS = '', VmHWM = '' } = await processStatus(leader);
    world.report(`memory of the leader: ${VmRSS}, at most ${VmHWM}; heap at most ${Math.round(heap / 2 ** 20)} MiB`);
    expect(Number.parseInt(VmHWM, 10) * 1_024).toBeLessThan(limit / 2);
  });

  it('answers `ballast explain` in the pod', async () => {
    const leader = await leadingPod(world.lab);
    const command = ['exec', '-n', BALLAST_NAMESPACE, leader.metadata.name, '--', 'ballast'];
    const { stdout } = await world.lab.kubectl([...command, 'explain', 'svc/web', '-n', 'default']);
    expect(stdout).toContain('Every decision says yes');
    await expectHonestFollower(leader);
  });

  it('gives the Service the address of the next leader when the leading pod is deleted', async () => {
    const { lab } = world;
    const leader = await leadingPod(lab);
    await lab.request('DELETE', `/api/v1/namespaces/${BALLAST_NAMESPACE}/pods/${leader.metadata.name}`);
    await web.until('to have another address', (service) => {
      const [address] = addressesOf(service);
      return address !== undefined && address !== leader.status.podIP;
    });
    expect(addressesOf(await web.get())).toEqual([(await leadingPod(lab)).status.podIP]);
    await untilAnswering();
    await untilBallastReady(lab);
  });
});

/** Makes the pods read their token from a Secret, which can be rotated here and now: kubelet's own takes an hour. */
const TOKEN_FROM_SECRET = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'ballast-controller' },
  spec: {
    template: {
      spec: {
        automountServiceAccountToken: false,
        volumes: [
          {
            name: 'account',
            projected: {
              sources: [
                { secret: { name: 'account-token', items: [{ key: 'token', path: 'token' }] } },
                { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
              ],
            },
          },
        ],
        containers: [
          {
            name: 'controller',
            volumeMounts: [
              { name: 'account', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
            ],
          },
        ],
      },
    },
  },
};

const SECRETS = `/api/v1/namespaces/${BALLAST_NAMESPACE}/secrets`;

/** A token of the ServiceAccount that is good for as long as the Secret with this name, which is made for it, is there. */
async function tokenBoundTo(name: string): Promise<string> {
  const { lab } = world;
  await lab.request('POST', SECRETS, { metadata: { name } });
  const path = `/api/v1/namespaces/${BALLAST_NAMESPACE}/serviceaccounts/ballast-controller/token`;
  const request = { spec: { expirationSeconds: 600, boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name } } };
  const { status } = await lab.request<{ readonly status: { readonly token: string } }>('POST', path, request);
  return status.token;
}

async function isValid(token: string): Promise<boolean> {
  const path = '/apis/authentication.k8s.io/v1/tokenreviews';
  const { status } = await world.lab.request<{ readonly status: { readonly authenticated?: boolean } }>('POST', path, {
    spec: { token },
  });
  return status.authenticated === true;
}

function restarts({ status }: BallastPod): number {
  return (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/** Asks to evict a pod, as `kubectl drain` does; gives the HTTP status. */
async function evict({ metadata: { name } }: BallastPod): Promise<number> {
  const path = `/api/v1/namespaces/${BALLAST_NAMESPACE}/pods/${name}/eviction`;
  try {
    await world.lab.request('POST', path, { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name } });
    return 201;
  } catch (error) {
    if (error instanceof LabRequestError) return error.status;
    throw error;
  }
}

async function untilEvictable(): Promise<void> {
  const path = `/apis/policy/v1/namespaces/${BALLAST_NAMESPACE}/poddisruptionbudgets/ballast-controller`;
  await waitFor({
    what: 'the budget to allow a disruption',
    timeoutMs: 60_000,
    check: async () => {
      const { status } = await world.lab.request<{ readonly status?: { readonly disruptionsAllowed?: number } }>(
        'GET',
        path,
      );
      return (status?.disruptionsAllowed ?? 0) > 0 || undefined;
    },
  });
}

/**
 * Fills the container's memory with processes that are each smaller than the controller, so that the kernel, once the
 * limit is met, ends the controller. This process ends with it.
 */
const FILL_MEMORY = `
  require('fs').writeFileSync('/proc/1/oom_score_adj', '1000');
  const hog = 'globalThis.a = Buffer.alloc(24 << 20, 1); setInterval(() => {}, 1e9)';
  let hogs = 0;
  setInterval(() => { if (hogs++ < 40) require('child_process').spawn(process.execPath, ['-e', hog], { stdio: 'inherit' }) }, 100);
`;

const INTERFACE_ADDRESSES = fileURLToPath(new URL('../../providers/proxy/interface-addresses.ts', import.meta.url));

describe('an address that moves to another machine', () => {
  async function hardwareAddress(machine: LabMachine): Promise<string | undefined> {
    const [link]: readonly { readonly address?: string }[] = JSON.parse(
      (await machine.exec(['ip', '-j', 'link', 'show', 'dev', 'eth0'])).stdout,
    );
    return link?.address;
  }

  it('is found there by neighbours that knew the old one, before they ask', async () => {
    const [client, before, after] = ['client', 'before', 'after'].map((name) => world.machine(name));
    if (!client || !before || !after) throw new Error('a machine is missing');
    // The last of the pool, which no Service of this file gets.
    const address = '172.30.0.250';
    const known = async (): Promise<string | undefined> => {
      const { stdout } = await client.exec(['ip', '-j', 'neigh', 'show', 'to', address, 'dev', 'eth0']);
      const [entry]: readonly { readonly lladdr?: string }[] = JSON.parse(stdout);
      return entry?.lladdr;
    };
    await before.exec(['ip', 'addr', 'add', `${address}/32`, 'dev', 'eth0']);
    await waitFor({
      what: `${address} to answer`,
      timeoutMs: 20_000,
      check: () => client.exec(['ping', '-c', '1', '-W', '2', address]),
    });
    expect(await known()).toBe(await hardwareAddress(before));
    await before.exec(['ip', 'addr', 'del', `${address}/32`, 'dev', 'eth0']);

    const program =
      `const { InterfaceAddresses, runIp } = await import('${INTERFACE_ADDRESSES}');` +
      "const addresses = new InterfaceAddresses('eth0', runIp, { now: () => performance.now() });" +
      `await addresses.add('${address}', AbortSignal.timeout(20_000));`;
    const node = [process.execPath, '--conditions=source', '--input-type=module', '--eval', program];
    await after.exec(node, { timeoutMs: 60_000 });
    const wanted = await hardwareAddress(after);
    await waitFor({
      what: 'the client to know the new machine',
      timeoutMs: 15_000,
      check: async () => (await known()) === wanted || undefined,
    });
  });
});

describe('kubectl apply -k manifests/edge', () => {
  /** The first token that the pods read from a Secret. */
  let firstToken = '';

  it('moves the controller to the edge nodes, with two capabilities, and serves addresses of their network', async () => {
    const { lab } = world;
    await labelEdgeNodes(lab, EDGE);
    await applyEdge(lab);
    const pods = await ballastPods(lab);
    expect(pods.map(({ spec }) => spec.nodeName ?? '').toSorted()).toEqual(EDGE);
    await web.until(
      'to have an address of the pool',
      (service) => addressesOf(service)[0]?.startsWith('172.30.0.2') === true,
    );
    await untilAnswering();
    for (const pod of pods) {
      expect(await capabilities(pod)).toEqual([EDGE_CAPABILITIES, EDGE_CAPABILITIES, EDGE_CAPABILITIES, 0, 0]);
    }
    await expectHonestFollower(await leadingPod(lab));
  });

  it('keeps the address over a rolling upgrade, and loses only connections that nobody was there to take', async () => {
    const { lab } = world;
    firstToken = await tokenBoundTo('first');
    const secret = { metadata: { name: 'account-token' }, stringData: { token: firstToken } };
    await lab.request('POST', SECRETS, secret);
    const [address] = addressesOf(await web.get());
    const summary = await underLoad('rolling upgrade', () => applyEdge(lab, { patches: [TOKEN_FROM_SECRET] }));
    expect(addressesOf(await web.get())).toEqual([address]);
    expect(cutShort(summary), 'share of connections that were made and lost').toBeLessThan(0.01);
    expect(summary.longestGapMs, 'longest time without an answer').toBeLessThan(20_000);
  });

  it('goes on with a token that replaced the one it began with', async () => {
    const { lab } = world;
    const holder = await leaseHolder(lab);
    const token = await tokenBoundTo('second');
    await lab.request('PATCH', `${SECRETS}/account-token`, { stringData: { token } });
    const before = await ballastPods(lab);
    for (const pod of before) {
      // kubelet writes volumes anew when it looks at a pod again, which a change of it is a reason for.
      const path = `/api/v1/namespaces/${BALLAST_NAMESPACE}/pods/${pod.metadata.name}`;
      await lab.request('PATCH', path, { metadata: { annotations: { 'example.com/looked-at': 'again' } } });
      const program =
        "console.log(require('fs').readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8'))";
      await waitFor({
        what: `kubelet to write the token of ${pod.metadata.name}`,
        timeoutMs: 120_000,
        check: async () => (await evaluate(pod, program)) === token || undefined,
      });
    }
    await lab.request('DELETE', `${SECRETS}/first`);
    await waitFor({
      what: 'the API server to refuse the first token',
      timeoutMs: 60_000,
      check: async () => ((await isValid(firstToken)) ? undefined : true),
    });
    const service = await createService(lab, 'rotated', 'web');
    await service.address();
    await service.delete();
    expect(await leaseHolder(lab)).toBe(holder);
    expect((await ballastPods(lab)).map(restarts)).toEqual([0, 0]);
  });

  it('is drained one replica at a time, and finishes what is under way', async () => {
    await untilEvictable();
    const leader = await leadingPod(world.lab);
    const [other] = (await ballastPods(world.lab)).filter(({ metadata }) => metadata.uid !== leader.metadata.uid);
    if (!other) throw new Error('there is one replica only');
    let slow: { readonly answer: Promise<string> } | undefined;
    const summary = await underLoad('the leading pod is evicted', async () => {
      slow = await beginSlowRequest();
      expect(await evict(leader)).toBe(201);
      expect(await evict(other), 'while the first is away').toBe(429);
      await untilEvictable();
      expect(await evict(other)).toBe(201);
      await untilBallastReady(world.lab);
    });
    expect(await slow?.answer).toContain('done');
    expect(cutShort(summary), 'share of connections that were made and lost').toBeLessThan(0.01);
  });

  it('is ended and started again where it meets its memory limit; the other replica takes over', async () => {
    const { lab } = world;
    const holder = await leaseHolder(lab);
    const leader = await leadingPod(lab);
    await underLoad('the leader meets its memory limit', async () => {
      await evaluate(leader, FILL_MEMORY, false);
      await waitFor({
        what: 'another process to lead',
        timeoutMs: (LEASE_SECONDS + 45) * 1_000,
        check: async () => ![holder, ''].includes(await leaseHolder(lab)) || undefined,
      });
    });
    await untilBallastReady(lab);
    const again = (await ballastPods(lab)).find(({ metadata }) => metadata.uid === leader.metadata.uid);
    expect(again?.status.containerStatuses).toMatchObject([
      { restartCount: 1, lastState: { terminated: { reason: 'OOMKilled', exitCode: 137 } } },
    ]);
  });

  it('takes over when the node of the leader crashes, and has two replicas again when the node is back', async () => {
    const { lab } = world;
    const { spec } = await leadingPod(lab);
    const node = lab.node(spec.nodeName ?? '');
    const [address] = addressesOf(await web.get());
    await underLoad('the node of the leader crashes', () => node.crash());
    expect(addressesOf(await web.get())).toEqual([address]);
    expect((await leadingPod(lab)).spec.nodeName).not.toBe(node.name);
    await node.restart();
    await untilBallastReady(lab);
    await untilAnswering();
  });
});

describe('manifests/edge with manifests/metrics-auth, set up as docs/deploy.md says', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ballast-metrics-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const asThePageSays = (after: string, variables?: Readonly<Record<string, string>>): Promise<string> =>
    runPageCommands(world.lab, { page: 'docs/deploy.md', after, folder, ...(variables && { variables }) });

  it('answers who asks the leader, before', async () => {
    expect(await asThePageSays('## Asking it')).toContain('The load balancer has 172.30.0.2');
  });

  it('gives the metrics to a scraper on another machine, who has a token, and to nobody without', async () => {
    const { lab } = world;
    await asThePageSays('Make the certificate');
    await applyEdge(lab, { components: ['metrics-auth'] });
    await lab.request('POST', '/api/v1/namespaces', { metadata: { name: 'monitoring' } });
    await lab.request('POST', '/api/v1/namespaces/monitoring/serviceaccounts', { metadata: { name: 'prometheus' } });
    await asThePageSays('Let the scraper');
    const { spec } = await leadingPod(lab);
    const server = lab.node(spec.nodeName ?? '').addresses.IPv4 ?? '';
    const token = (await lab.kubectl(['create', 'token', 'prometheus', '-n', 'monitoring'])).stdout.trim();
    const get = async (headers: readonly string[]): Promise<string> => {
      const tls = ['--cacert', join(folder, 'tls.crt'), '--connect-to', `ballast-metrics:10270:${server}:10270`];
      const options = ['-sS', '--max-time', '20', '-w', ' %{http_code}', ...tls, ...headers];
      const url = 'https://ballast-metrics:10270/metrics';
      return (await world.machine('client').exec(['curl', ...options, url])).stdout;
    };
    expect(await get([])).toMatch(/ 401$/);
    const scraped = await get(['--header', `Authorization: Bearer ${token}`]);
    expect(scraped).toContain('\nballast_');
    expect(scraped).toMatch(/ 200$/);
  });

  it('answers `ballast explain` in the pod', async () => {
    const pod = (await leadingPod(world.lab)).metadata.name;
    const said = await asThePageSays('With `manifests/metrics-auth`', { pod });
    expect(said).toContain('The load balancer has 172.30.0.2');
    expect(said).toContain('Every decision says yes');
  });
});
