/** How the controller process starts, shows itself, and ends. */
import { readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '#test/control-plane/free-port';
import { ballast } from './ballast.ts';
import { addresses, nodePorts, useCluster } from './service/cluster.ts';
import { newPool, startController } from './service/controller.ts';
import { waitFor } from './service/wait.ts';

const cluster = useCluster();
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/ballast-controller';
const LEADING = ['--leader-elect', 'true'];

const servers: Server[] = [];
const sockets: Socket[] = [];
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

interface Lease {
  readonly spec: { readonly holderIdentity: string };
}

/** The InternalIP of the only node; what listens there on a NodePort stands for kube-proxy and a pod. */
const NODE = '127.1.0.1';
beforeAll(() =>
  cluster.createNode({ metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: NODE }] } }),
);

/** A connection through a Service, open and idle. */
async function openConnection(): Promise<Socket> {
  const namespace = await cluster.namespace();
  await namespace.create('web');
  const service = await namespace.untilProgrammed('web');
  // The proxy may reset what outlives its time; that is an end like any other here.
  const server = createServer((socket) => socket.on('error', () => {})).listen(nodePorts(service)[0], NODE);
  servers.push(server);
  await once(server, 'listening');
  const arrived = once(server, 'connection');
  const client = connect(80, addresses(service)[0]).on('error', () => {});
  sockets.push(client);
  await arrived;
  return client;
}

describe('the end of the controller', () => {
  it('gives the Lease back, though a connection stays open until the proxy’s time for it is over', async () => {
    const controller = await startController(cluster, {
      flags: [...LEADING, '--shutdown-timeout', '40s', '--proxy-shutdown-timeout', '6s'],
    });
    const client = await openConnection();
    const closed = new Promise((resolve) => client.once('close', resolve));
    const startedAt = performance.now();
    const exit = controller.terminate();
    await waitFor('readiness to go', async () => {
      const { status } = await fetch(`${controller.url}/readyz`, { signal: AbortSignal.timeout(5_000) });
      return status === 503 ? true : undefined;
    });
    expect(await exit).toEqual({ code: 0, signal: null });
    await closed;
    expect(performance.now() - startedAt).toBeGreaterThan(5_900);
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    const lease = await cluster.plane.request<Lease>('GET', LEASE);
    expect(lease.spec.holderIdentity).toBe('');
  });

  it('comes at once when it is asked a second time', async () => {
    const controller = await startController(cluster, {
      flags: ['--shutdown-timeout', '60s', '--proxy-shutdown-timeout', '50s'],
    });
    await openConnection();
    process.kill(controller.pid, 'SIGTERM');
    await waitFor('the first signal to be heard', () => controller.linesAbout('ending in order')[0]);
    expect(await controller.terminate()).toEqual({ code: 143, signal: null });
  });

  it('comes with 1 when another one has taken the Lease', async () => {
    const controller = await startController(cluster, { flags: LEADING });
    await waitFor('it to lead', () => controller.linesAbout('this process leads')[0], { timeoutMs: 40_000 });
    const taken = { spec: { holderIdentity: 'another' } };
    await cluster.plane.request('PATCH', LEASE, taken);
    expect(await controller.exited).toEqual({ code: 1, signal: null });
    const [line = ''] = controller.linesAbout('the controller ends because of a failure');
    expect(JSON.parse(line)).toMatchObject({ level: 'error', error: { code: 'NotLeader' } });
  });
});

describe('the start of the controller', () => {
  it('fails with 1 when another process has the port of the metrics, and says what to do', async () => {
    const port = await freePort();
    const server = createServer().listen(port, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const { code, stdout } = await ballast([
      'controller',
      `--kubeconfig=${cluster.plane.kubeconfigPath}`,
      '--leader-elect=false',
      `--metrics-bind-address=127.0.0.1:${port}`,
    ]);
    expect(code).toBe(1);
    expect(stdout).toContain('choose another address or port with --metrics-bind-address');
  });

  it('logs the whole configuration once, and where each part was set', async () => {
    const controller = await startController(cluster, { flags: ['--resync-period', '5m'] });
    const lines = controller.linesAbout('the controller starts');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      server: cluster.plane.url,
      config: { 'resync-period': '5m', workers: '8', 'leader-elect': 'false' },
      setBy: { 'resync-period': 'flag', 'leader-elect': 'flag' },
    });
    expect(controller.linesAbout(cluster.plane.adminToken)).toEqual([]);
    await controller.terminate();
  });
});

describe('the metrics of a running controller', () => {
  it('are in the reference, all of them', async () => {
    const controller = await startController(cluster, { flags: ['--proxy-addresses', newPool()] });
    const namespace = await cluster.namespace();
    await namespace.create('web');
    await namespace.untilProgrammed('web');
    const text = await (await fetch(`${controller.url}/metrics`)).text();
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? '');
    const own = names.filter((name) => !/^(process|nodejs)_/.test(name));
    expect(own.length).toBeGreaterThan(20);
    const page = readFileSync(fileURLToPath(new URL('../../docs/reference.md', import.meta.url)), 'utf8');
    expect(own.filter((name) => !page.includes(`| \`${name}\` |`))).toEqual([]);
  });
});
