/** Ballast's controller on a machine of a lab, with the rights that `manifests/` give it. */
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import type { Lab } from './lab.ts';
import type { Exit, LabProcess, StopOptions } from './lab-process.ts';
import type { LabMachine } from './machine.ts';
import { LabError } from './errors.ts';
import { tail, waitFor } from './wait.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const MANIFESTS = fileURLToPath(new URL('../../manifests', import.meta.url));
/** As `manifests/` name them. */
const NAMESPACE = 'ballast-system';
const SERVICE_ACCOUNT = 'ballast-controller';
/** Inside the machine's own network namespace, so no two machines meet. */
const METRICS_ADDRESS = '127.0.0.1:10270';
const TOKEN_SECONDS = 24 * 3600;
const READY_WITHIN_MS = 20_000;

export interface BallastOptions {
  /** More flags of `ballast controller`, after the ones below, so that they win. */
  readonly flags?: readonly string[];
  /** Name of its log, after the machine's. Default `ballast`. */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

/** A controller that runs. */
export interface RunningBallast {
  readonly machine: LabMachine;
  readonly process: LabProcess;
  /** Asks it to end, and kills it when it takes longer than 15 s. */
  stop(options?: StopOptions): Promise<Exit>;
  /** Everything that it has written. */
  logs(): Promise<string>;
  /** Its metrics, in Prometheus' text format. */
  metrics(): Promise<string>;
}

/**
 * Starts the controller with the proxy provider: it takes Services without a class too, and gives them the lab's
 * addresses for load balancers, on `eth0` of the machine. It reaches the cluster as the ServiceAccount of `manifests/`,
 * which are applied first, all but what needs an image. Resolves when `/readyz` says yes, which a replica that waits for
 * the Lease does too.
 */
export async function startBallast(
  lab: Lab,
  machine: LabMachine,
  { flags = [], name = 'ballast', signal }: BallastOptions = {},
): Promise<RunningBallast> {
  const token = await serviceAccountToken(lab, signal);
  const kubeconfig = await lab.writeKubeconfig({ name: `${machine.name}-${name}`, token, from: 'inside' });
  const addresses = lab.loadBalancerRanges.map(({ first, last }) => `${first}-${last}`).join(',');
  const all = [
    ['--kubeconfig', kubeconfig],
    ['--leader-elect-namespace', NAMESPACE],
    ['--default-provider', 'proxy'],
    ['--proxy-interface', 'eth0'],
    ['--proxy-addresses', addresses],
    ['--metrics-bind-address', METRICS_ADDRESS],
    flags,
  ].flat();
  const process = await machine.spawn(
    globalThis.process.execPath,
    ['--conditions=source', MAIN, 'controller', ...all],
    {
      name,
      directory: ROOT,
    },
  );
  const ask = async (path: string): Promise<string> => {
    const curl = ['curl', '--silent', '--show-error', '--fail', '--max-time', '5', `http://${METRICS_ADDRESS}${path}`];
    return (await machine.exec(curl, { signal })).stdout;
  };
  const ballast: RunningBallast = {
    machine,
    process,
    stop: (options = { graceMs: 15_000 }) => process.stop(options),
    logs: () => process.output(),
    metrics: () => ask('/metrics'),
  };
  try {
    const ready = await waitFor({
      what: `Ballast on ${machine.name} to be ready`,
      timeoutMs: READY_WITHIN_MS,
      signal,
      log: process.logFile,
      check: async () => (process.exit ? 'ended' : ask('/readyz')),
    });
    if (ready !== 'ended') return ballast;
  } catch (error) {
    await process.stop({ graceMs: 0 });
    throw error;
  }
  throw new LabError(`Ballast on ${machine.name} ended before it was ready:\n${await tail(process.logFile, 20)}`);
}

/** By lab, so that a controller that is started again is not the later for it. */
const tokens = new WeakMap<Lab, string>();

/** A token of the ServiceAccount; the first time, the manifests are applied for it. */
async function serviceAccountToken(lab: Lab, signal: AbortSignal | undefined): Promise<string> {
  let token = tokens.get(lab);
  if (token === undefined) {
    await applyManifests(lab, signal);
    token = await requestToken(lab, signal);
    tokens.set(lab, token);
  }
  return token;
}

/** Namespace, ServiceAccount, rights and settings, as `kubectl apply -k manifests` makes them; no Deployment. */
async function applyManifests(lab: Lab, signal: AbortSignal | undefined): Promise<void> {
  const { stdout } = await lab.kubectl(['kustomize', MANIFESTS], { signal });
  const items = parseAllDocuments(stdout)
    .map((document): unknown => document.toJS())
    .filter((item) => !(isObject(item) && item['kind'] === 'Deployment'));
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await lab.kubectl(['apply', '--filename=-'], { input, signal });
}

async function requestToken(lab: Lab, signal: AbortSignal | undefined): Promise<string> {
  const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${SERVICE_ACCOUNT}/token`;
  const request = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: TOKEN_SECONDS },
  };
  const { status } = await lab.request<{ readonly status: { readonly token: string } }>('POST', path, request, {
    signal,
  });
  return status.token;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
