/** The real controller as a process of its own. */
import { get } from '#src/cli/inquiry/request';
import { spawnController, type ControllerProcess } from '#test/chaos/controller-process';
import { freePort } from '#test/control-plane/free-port';
import { INTEGRATION_WORKERS } from '../workers.ts';
import type { Cluster } from './cluster.ts';
import { waitFor } from './wait.ts';

export interface ControllerOptions {
  /** More flags, after ours, so that they win. */
  readonly flags?: readonly string[];
  /** Where the flags have it serve its metrics; by default a free port of loopback. */
  readonly metricsUrl?: string;
  /** `--proxy-addresses`; a pool of its own by default. */
  readonly pool?: string;
  /** Keeps the rules for nodes' addresses and for requested ones that hold by default; off, for tests live on loopback. */
  readonly strict?: boolean;
  /** A PEM file with the authority of its certificate. */
  readonly metricsCa?: string;
}

export interface Controller extends ControllerProcess {
  /** `http://127.0.0.1:PORT` with `/metrics` and `/readyz`. */
  readonly url: string;
}

/**
 * Tests of one machine share 127.0.0.0/8, so each controller process of a test run has a network of its own there: the
 * files that run at once by the number of their worker, other runs by that of their process.
 */
let networks = 0;
function nextNetwork(): string {
  networks += 1;
  const worker = Number(process.env['VITEST_POOL_ID'] ?? 0) % INTEGRATION_WORKERS;
  return `127.${32 + INTEGRATION_WORKERS * (process.pid % 32) + worker}.${networks}`;
}

/** A pool of 200 addresses that no other test uses. */
export function newPool(): string {
  const network = nextNetwork();
  return `${network}.1-${network}.200`;
}

const LENIENT = [
  ['--node-addresses', '127.0.0.0/8,10.0.0.0/8,fd00::/8,::1'],
  ['--allow-address', '*=*'],
];

/** Starts the controller against the cluster, with the proxy provider on addresses of loopback; resolves when it is ready. */
export async function startController(cluster: Cluster, options: ControllerOptions = {}): Promise<Controller> {
  const port = await freePort();
  const flags = [
    ['--kubeconfig', cluster.plane.kubeconfigPath],
    ['--proxy-addresses', options.pool ?? newPool()],
    ['--metrics-bind-address', `127.0.0.1:${port}`],
    ['--leader-elect', 'false'],
    ...(options.strict ? [] : LENIENT),
    ['--default-provider', 'proxy'],
    ['--log-level', 'debug'],
    ['--shutdown-timeout', '20s'],
    ['--proxy-shutdown-timeout', '1s'],
  ].flat();
  const running = spawnController({ flags: [...flags, ...(options.flags ?? [])] });
  const controller = { ...running, url: options.metricsUrl ?? `http://127.0.0.1:${port}` };
  cluster.adopt(controller);
  await untilReady(controller, options.metricsCa);
  return controller;
}

/** Waits until `/readyz` says that it works or follows. */
async function untilReady(controller: Controller, caFile?: string): Promise<void> {
  const log = (): string => `\nlog:\n${controller.linesAbout('').slice(-20).join('\n')}`;
  const ended = controller.exited.then((exit) => {
    throw new Error(`the controller has ended before it was ready: ${JSON.stringify(exit)}${log()}`);
  });
  const ready = waitFor(
    `${controller.url}/readyz to answer 200`,
    async () => {
      const { status } = await get(`${controller.url}/readyz`, { caFile }, AbortSignal.timeout(5_000));
      return status === 200 ? true : undefined;
    },
    { hint: log },
  );
  await Promise.race([ready, ended]);
}
