import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findRemains } from '../lab/clear.ts';
import { LabDirectory } from '../lab/directory.ts';
import { buildImage, Lab, type LabMachine, NETEXEC_PORTS } from '../lab/lab.ts';
import { SHADOWED_SYSCTLS } from '../lab/node-init.ts';
import { askUdp, fetchOnce, urlHost } from '../lab/traffic.ts';
import { waitFor } from '../lab/wait.ts';

const MACHINES = [{ name: 'client' }, { name: 'outside', behindRouter: true }] as const;
const CLI = fileURLToPath(new URL('../lab/cli.ts', import.meta.url));

interface NodePorts {
  readonly http: number;
  readonly https: number;
  readonly udp: number;
}

interface ServiceObject {
  readonly spec: { readonly ports: readonly { readonly name: string; readonly nodePort: number }[] };
}

interface NodeObject {
  readonly spec: { readonly podCIDRs?: readonly string[] };
  readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] };
}

/** A NodePort Service in front of `netexec`, with every port of it. */
async function expose(lab: Lab, name: string, policy: 'Cluster' | 'Local' = 'Cluster'): Promise<NodePorts> {
  const body = {
    metadata: { name: `${name}-${policy.toLowerCase()}` },
    spec: {
      type: 'NodePort',
      externalTrafficPolicy: policy,
      ipFamilyPolicy: 'PreferDualStack',
      selector: { app: name },
      ports: [
        { name: 'http', port: 80, targetPort: NETEXEC_PORTS.http },
        { name: 'https', port: 443, targetPort: NETEXEC_PORTS.https },
        { name: 'udp', port: 80, targetPort: NETEXEC_PORTS.udp, protocol: 'UDP' },
      ],
    },
  };
  const service = await lab.request<ServiceObject>('POST', '/api/v1/namespaces/default/services', body);
  const port = (wanted: string): number => service.spec.ports.find((each) => each.name === wanted)?.nodePort ?? 0;
  return { http: port('http'), https: port('https'), udp: port('udp') };
}

/** Asks until the answer comes: kube-proxy needs a moment to learn of a Service, and a node to come back. */
function eventually<T>(what: string, check: () => Promise<T>, timeoutMs: number = 20_000): Promise<T> {
  return waitFor({ what, timeoutMs, intervalMs: 200, check });
}

async function readyStatus(lab: Lab, node: string): Promise<string | undefined> {
  const { status } = await lab.request<NodeObject>('GET', `/api/v1/nodes/${node}`);
  return status.conditions.find(({ type }) => type === 'Ready')?.status;
}

/** The host's values of what kubelet writes. */
async function readSettings(): Promise<readonly string[]> {
  return Promise.all(Object.keys(SHADOWED_SYSCTLS).map((path) => readFile(`/proc/sys/${path}`, 'utf8')));
}

/** The different pods that answered one after the other. */
async function answeringPods(machine: LabMachine, url: string, requests: number): Promise<ReadonlySet<string>> {
  const pods = new Set<string>();
  for (let request = 0; request < requests; request += 1) pods.add(await fetchOnce(machine, url));
  return pods;
}

/** curl cannot connect (7), or nobody answers in time (28). */
const UNREACHABLE = /curl: \((7|28)\)/;
const NOTHING = { processes: [], namespaces: [], cgroups: [], mounts: [] };

describe('a dual-stack lab of three nodes', () => {
  let lab: Lab;
  let ports: NodePorts;
  let settings: readonly string[];

  beforeAll(async () => {
    settings = await readSettings();
    // The shortest grace period with which a healthy node's heartbeats (every 10 s) still come in time.
    const nodeMonitorGracePeriodSeconds = 20;
    lab = await Lab.up({ name: 'labtest', ipFamily: 'dual', machines: MACHINES, nodeMonitorGracePeriodSeconds });
    await lab.deployNetexec({ name: 'web', https: true });
    ports = await expose(lab, 'web');
  });

  afterAll(() => Lab.clear('labtest'));

  it('answers through every NodePort of both families, over TCP, TLS and UDP, from pods of several nodes', async () => {
    const client = lab.machine('client');
    for (const node of lab.nodes) {
      for (const address of Object.values(node.addresses)) {
        const host = urlHost(address);
        await eventually(`${address} to answer`, () => fetchOnce(client, `http://${host}:${ports.http}/hostname`));
        expect(await fetchOnce(client, `https://${host}:${ports.https}/hostname`)).toMatch(/^web-/);
        expect(await askUdp(client, { host: address, port: ports.udp })).toMatch(/^web-/);
      }
    }
    const pods = await answeringPods(client, `http://${lab.node('n1').addresses.IPv4}:${ports.http}/hostname`, 30);
    expect(pods.size).toBeGreaterThan(1);
  });

  it('shows a pod the address of a client from behind the router when the policy is Local', async () => {
    const outside = lab.machine('outside');
    const local = await expose(lab, 'web', 'Local');
    for (const [family, address] of Object.entries(lab.node('n1').addresses)) {
      const url = `http://${urlHost(address)}:${local.http}/clientip`;
      const seen = await eventually(`${address} to answer`, () => fetchOnce(outside, url));
      expect(seen).toContain(outside.addresses[family === 'IPv4' ? 'IPv4' : 'IPv6']);
    }
  });

  it('lets kubectl on the host read a pod’s log and run a command in it', async () => {
    const { stdout } = await lab.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'name']);
    const pod = stdout.split('\n')[0] ?? '';
    const hostname = await lab.kubectl(['exec', pod, '-c', 'http', '--', 'hostname']);
    expect(`pod/${hostname.stdout.trim()}`).toBe(pod);
    expect((await lab.kubectl(['logs', pod, '-c', 'http'])).stdout).toContain('Started HTTP server');
  });

  it('resolves Services in pods', async () => {
    const { stdout } = await lab.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'name']);
    const lookup = [
      'exec',
      stdout.split('\n')[0] ?? '',
      '-c',
      'http',
      '--',
      'wget',
      '-qO-',
      'http://web-cluster/hostname',
    ];
    expect((await lab.kubectl(lookup)).stdout).toMatch(/^web-/);
  });

  it('runs commands among a node’s daemons', async () => {
    const { stdout } = await lab.node('n2').exec(['sh', '-c', 'hostname; ctr images ls -q']);
    expect(stdout).toMatch(/^n2\n/);
    expect(stdout).toContain('agnhost');
  });

  it('shows kubelet the machine-wide settings that it wants and leaves the host’s alone', async () => {
    const read = ['sh', '-c', 'cat /proc/sys/kernel/panic /proc/sys/kernel/keys/root_maxkeys'];
    expect((await lab.node('n1').exec(read)).stdout).toBe('10\n1000000\n');
    expect(await readSettings()).toEqual(settings);
  });

  it('notes the pods’ addresses in the Node', async () => {
    const { spec } = await lab.request<NodeObject>('GET', '/api/v1/nodes/n2');
    expect(spec.podCIDRs).toEqual(['10.244.2.0/24', 'fd00:10:244:2::/64']);
  });

  it('calls a node NotReady when it is cut off and Ready when it is healed', async () => {
    const node = lab.node('n3');
    await node.cutOff();
    await expect(fetchOnce(lab.machine(), `http://${node.addresses.IPv4}:10256/healthz`, 1)).rejects.toThrow(
      UNREACHABLE,
    );
    await eventually(
      'n3 to be called silent',
      async () => (await readyStatus(lab, 'n3')) === 'Unknown' || undefined,
      40_000,
    );
    await node.heal();
    await eventually('n3 to be Ready again', async () => (await readyStatus(lab, 'n3')) === 'True' || undefined);
  });

  it('keeps a paused node’s processes from running', async () => {
    const node = lab.node('n3');
    const health = `http://${node.addresses.IPv4}:10256/healthz`;
    await eventually('kube-proxy of n3 to answer', () => fetchOnce(lab.machine(), health));
    await node.pause();
    await expect(fetchOnce(lab.machine(), health, 1)).rejects.toThrow(UNREACHABLE);
    await node.resume();
    expect(await fetchOnce(lab.machine(), health)).toContain('lastUpdated');
  });

  it('starts a crashed node again, with its pods', async () => {
    const node = lab.node('n2');
    await node.crash();
    await expect(node.exec(['true'])).rejects.toThrow('off');
    const address = node.addresses.IPv4;
    await expect(fetchOnce(lab.machine(), `http://${address}:${ports.http}/hostname`, 1)).rejects.toThrow(UNREACHABLE);
    await node.restart();
    await eventually(`${address} to answer`, () =>
      fetchOnce(lab.machine(), `http://${address}:${ports.http}/hostname`),
    );
    await lab.waitForDeployment({ name: 'web' });
  });

  it('adds a node that carries traffic, drains it and removes it', async () => {
    const node = await lab.addNode();
    expect(node.name).toBe('n4');
    const url = `http://${urlHost(node.addresses.IPv6 ?? '')}:${ports.http}/hostname`;
    expect(await eventually('n4 to answer', () => fetchOnce(lab.machine(), url))).toMatch(/^web-/);
    await lab.request('PATCH', '/apis/apps/v1/namespaces/default/deployments/web', { spec: { replicas: 4 } });
    await lab.waitForDeployment({ name: 'web' });
    await node.drain();
    await lab.waitForDeployment({ name: 'web' });
    const { stdout } = await lab.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'wide']);
    expect(stdout).not.toContain('n4');
    await node.remove();
    expect(lab.nodes.map(({ name }) => name)).toEqual(['n1', 'n2', 'n3']);
    await expect(readyStatus(lab, 'n4')).rejects.toMatchObject({ status: 404 });
    expect((await findRemains('labtest')).namespaces).not.toContain('ballast-labtest-n4');
  });

  it('runs a program on a machine until it is stopped', async () => {
    const added = await lab.addMachine({ name: 'box' });
    const program =
      'require("node:http").createServer((_, answer) => answer.end("here")).listen(8000, () => console.log("up"))';
    const server = await added.spawn(process.execPath, ['-e', program], { name: 'server' });
    await server.waitForOutput(/up/);
    expect(await fetchOnce(lab.machine('outside'), `http://${added.addresses.IPv4}:8000/`)).toBe('here');
    expect(await lab.logs('box-server')).toContain('up');
    expect(await server.stop()).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it('runs an image that was made from files, on every node', async () => {
    const image = 'example.test/hello:1';
    const busybox = { path: '/bin/busybox', source: '/bin/busybox', mode: 0o755 };
    const entrypoint = ['/bin/busybox', 'echo', 'hello'];
    await lab.loadImage(await buildImage({ name: image, files: [busybox], entrypoint }));
    expect(lab.state.images).toHaveLength(3);
    for (const node of lab.nodes) expect((await node.exec(['ctr', 'images', 'ls', '-q'])).stdout).toContain(image);
    const flags = ['--image', image, '--image-pull-policy=Never', '--restart=Never'];
    await lab.kubectl(['run', 'hello', ...flags]);
    await lab.kubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/hello', '--timeout=20s']);
    expect((await lab.kubectl(['logs', 'hello'])).stdout).toBe('hello\n');
  });

  it('is not taken by another lab of the same name', async () => {
    await expect(Lab.up({ name: 'labtest' })).rejects.toThrow(`belongs to process ${process.pid}`);
  });

  it('leaves nothing behind', async () => {
    await lab.down();
    expect(await findRemains('labtest')).toEqual(NOTHING);
    expect(existsSync(new LabDirectory('labtest').path)).toBe(false);
  });
});

describe('a run that is killed', () => {
  afterAll(() => Lab.clear('labkilled'));

  it('leaves nothing behind after the next `up` and `down`, which work, with iptables as well', async () => {
    const args = ['--conditions=source', CLI, 'up', '--name', 'labkilled', '--nodes', '2'];
    const killed = spawn(process.execPath, args, { stdio: 'ignore' });
    // Halfway: the nodes' daemons are on their way, and nothing is ready.
    const initLog = new LabDirectory('labkilled').node('n1').log('containerd');
    await eventually('the first node to boot', async () => existsSync(initLog) || undefined);
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    await delay(200);
    const remains = await findRemains('labkilled');
    expect(remains.processes.length).toBeGreaterThan(3);
    expect(remains.namespaces.length).toBeGreaterThan(3);

    const lab = await Lab.up({ name: 'labkilled', nodes: 1, proxyMode: 'iptables' });
    await lab.deployNetexec({ name: 'web', replicas: 1 });
    const { http } = await expose(lab, 'web');
    const url = `http://${lab.node('n1').addresses.IPv4}:${http}/hostname`;
    expect(await eventually('n1 to answer', () => fetchOnce(lab.machine(), url))).toMatch(/^web-/);
    const { stdout } = await lab.node('n1').exec(['iptables-save', '-t', 'nat']);
    expect(stdout).toContain('KUBE-SERVICES');
    await lab.down();
    expect(await findRemains('labkilled')).toEqual(NOTHING);
    expect(existsSync(new LabDirectory('labkilled').path)).toBe(false);
  });
});
