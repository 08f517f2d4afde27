/** What a soak runs on: an API server and etcd, and two controllers, each behind a fault proxy of its own. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { proxyApiServer } from '#test/chaos/api-server';
import { DUAL_STACK_RANGE, startControlPlane, type ControlPlane } from '#test/control-plane/control-plane';
import { freePort } from '#test/control-plane/free-port';
import { Replica } from './replica.ts';
import { CLASSES, NAMESPACES, OPEN_GROUP, type Site } from './site.ts';

const REPLICAS: readonly string[] = ['controller-1', 'controller-2'];

/** Short enough that a round with a lost leader is no long wait, long enough for a slow machine. */
const LEASE = { durationS: 6, renewS: 4, retryMs: 500 } as const;

export interface SoakCluster extends AsyncDisposable {
  readonly plane: ControlPlane;
  readonly replicas: readonly Replica[];
}

/** Starts everything; `folder` takes the logs of the controllers. */
export async function startCluster(site: Site, folder: string): Promise<SoakCluster> {
  await mkdir(folder, { recursive: true });
  await using stack = new AsyncDisposableStack();
  const plane = stack.use(await startControlPlane({ serviceClusterIpRange: DUAL_STACK_RANGE }));
  for (const name of NAMESPACES) await plane.request('POST', '/api/v1/namespaces', { metadata: { name } });
  const replicas: Replica[] = [];
  for (const name of REPLICAS) {
    const { proxy, kubeconfigPath } = await proxyApiServer(plane);
    stack.use(proxy);
    const metricsPort = await freePort();
    const logPath = join(folder, `${name}.log`);
    const replica = new Replica({ name, flags: flags(site, kubeconfigPath), metricsPort, proxy, logPath });
    stack.defer(() => replica.stop());
    replica.start();
    replicas.push(replica);
  }
  const owned = stack.move();
  return { plane, replicas, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function flags(site: Site, kubeconfigPath: string): readonly string[] {
  const options: Readonly<Record<string, string>> = {
    kubeconfig: kubeconfigPath,
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
