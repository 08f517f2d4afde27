/**
 * What a soak runs on: an API server and etcd, the small cloud, and two controllers, each behind fault proxies of its
 * own.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { proxyApiServer } from '#test/chaos/api-server';
import type { Cloud } from '#test/chaos/cloud';
import { CloudServer } from '#test/chaos/cloud-server';
import { PROGRAM, PROGRAM_WITH_CLOUD, warmUp } from '#test/chaos/controller-process';
import { FaultProxy } from '#test/chaos/fault-proxy';
import { DUAL_STACK_RANGE, startControlPlane, type ControlPlane } from '#test/control-plane/control-plane';
import { freePort } from '#test/control-plane/free-port';
import { Replica } from './replica.ts';
import { CLASSES, CLOUD_POOL, NAMESPACES, OPEN_GROUP, type Site } from './site.ts';
import { WriteWatch } from './write-watch.ts';

const REPLICAS: readonly string[] = ['controller-1', 'controller-2'];

/** Short enough that a round with a lost leader is no long wait, long enough for a slow machine. */
const LEASE = { durationS: 10, renewS: 8, retryMs: 500 } as const;

export interface SoakCluster extends AsyncDisposable {
  readonly plane: ControlPlane;
  readonly replicas: readonly Replica[];
  /** What exists outside; undefined where no provider makes anything there. */
  readonly cloud: Cloud | undefined;
  readonly writes: WriteWatch;
  /** What must never happen, happened: each as a sentence. */
  readonly complaints: readonly string[];
}

/** Starts everything; `folder` takes the logs of the controllers. */
export async function startCluster(site: Site, folder: string, hasCloud: boolean): Promise<SoakCluster> {
  await mkdir(folder, { recursive: true });
  await using stack = new AsyncDisposableStack();
  await warmUp(hasCloud ? PROGRAM_WITH_CLOUD : PROGRAM);
  const plane = stack.use(await startControlPlane({ serviceClusterIpRange: DUAL_STACK_RANGE }));
  for (const name of NAMESPACES) await plane.request('POST', '/api/v1/namespaces', { metadata: { name } });
  const server = hasCloud ? stack.use(await CloudServer.start(CLOUD_POOL)) : undefined;
  const writes = stack.use(new WriteWatch(LEASE.durationS * 1_000));
  const replicas: Replica[] = [];
  for (const name of REPLICAS) {
    const { proxy, kubeconfigPath } = await proxyApiServer(plane);
    stack.use(proxy);
    const cloudProxy = server && stack.use(await FaultProxy.start({ target: server.url }));
    const metricsPort = await freePort();
    const logPath = join(folder, `${name}.log`);
    const options = { name, flags: flags(site, kubeconfigPath, cloudProxy?.url), metricsPort, logPath };
    const replica = new Replica({ ...options, proxy, cloudProxy });
    writes.follow(replica);
    stack.defer(() => replica.stop());
    replica.start();
    replicas.push(replica);
  }
  const owned = stack.move();
  const cloud = server?.cloud;
  return {
    plane,
    replicas,
    cloud,
    writes,
    get complaints() {
      const said = cloud?.complaints.map((text) => `The cloud was asked for what only a mistake asks for: ${text}.`);
      return [...replicas.flatMap(({ complaints }) => complaints), ...(said ?? []), ...writes.complaints];
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function flags(site: Site, kubeconfigPath: string, cloudUrl: string | undefined): readonly string[] {
  const options: Readonly<Record<string, string>> = {
    kubeconfig: kubeconfigPath,
    ...(cloudUrl !== undefined && { providers: 'proxy,cloud', 'cloud-url': cloudUrl }),
    'default-provider': 'proxy',
    'load-balancer-class': `${CLASSES.moved}=proxy`,
    'allow-group': `${OPEN_GROUP.namespace}/${OPEN_GROUP.name}=${OPEN_GROUP.guests}`,
    // Nodes here are addresses of loopback, and what vanishes has really gone.
    'node-addresses': '127.0.0.0/8',
    'node-loss-hold': '1s',
    'allow-address': site.grantsFlag,
    'proxy-addresses': site.poolFlag,
    // No kubelet runs here: every eligible node counts as healthy.
    'proxy-health-port': '0',
    'proxy-shutdown-timeout': '1s',
    'proxy-drain-timeout': '1s',
    'shutdown-timeout': '4s',
    'leader-elect-lease-duration': `${LEASE.durationS}s`,
    'leader-elect-renew-deadline': `${LEASE.renewS}s`,
    'leader-elect-retry-period': `${LEASE.retryMs}ms`,
    // Whoever waits for the audit has missed an event.
    'resync-period': '24h',
    'log-level': 'debug',
  };
  return Object.entries(options).map(([name, value]) => `--${name}=${value}`);
}
