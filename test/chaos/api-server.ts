/** The fault proxy in front of a Kubernetes API server, and the faults in its words. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ControlPlane } from '#test/control-plane/control-plane';
import { writeKubeconfig } from '#test/control-plane/kubeconfig';
import type { Fault, Match } from './fault.ts';
import { FaultProxy } from './fault-proxy.ts';

export interface ProxiedApiServer {
  readonly proxy: FaultProxy;
  /** Kubeconfig of the administrator whose requests go through the proxy; ends with the control plane. */
  readonly kubeconfigPath: string;
}

/** Puts a fault proxy between the control plane and whoever uses the kubeconfig. Whoever starts it closes the proxy. */
export async function proxyApiServer(plane: ControlPlane): Promise<ProxiedApiServer> {
  const proxy = await FaultProxy.start({ target: plane.url, ca: await readFile(plane.caPath, 'utf8') });
  const name = `proxied-${randomBytes(4).toString('hex')}.kubeconfig.yaml`;
  const kubeconfigPath = join(dirname(plane.kubeconfigPath), name);
  await writeKubeconfig(kubeconfigPath, { server: proxy.url, caPath: plane.caPath, token: plane.adminToken });
  return { proxy, kubeconfigPath };
}

/** A refusal with a `Status`, as the API server itself words it. */
export function refusal(code: 410 | 429 | 500 | 503, options: { readonly retryAfterSeconds?: number } = {}): Fault {
  const { retryAfterSeconds } = options;
  const reason = {
    410: 'Expired',
    429: 'TooManyRequests',
    500: 'InternalError',
    503: 'ServiceUnavailable',
  }[code];
  const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: `${reason}, as arranged` };
  const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
  return { kind: 'answer', status: code, headers, body: JSON.stringify(body) };
}

/** A watch of a resource (`services`) in all namespaces or one. */
export function watchOf(plural: string): Match {
  return ({ isWatch, path }) => isWatch && isCollection(path, plural);
}

/** A page of a list of a resource. */
export function listOf(plural: string): Match {
  return ({ method, isWatch, path }) => method === 'GET' && !isWatch && isCollection(path, plural);
}

/** Anything that is to change the cluster. */
export const isWrite: Match = ({ method }) => method !== 'GET';

/** A patch of the Service `namespace/name`: of its status, or of all the rest of it. */
export function patchOfService(name: string, part: 'status' | 'object'): Match {
  const [namespace, own] = name.split('/');
  const path = `/api/v1/namespaces/${namespace}/services/${own}`;
  return (exchange) =>
    exchange.method === 'PATCH' && pathOnly(exchange.path) === (part === 'status' ? `${path}/status` : path);
}

function isCollection(path: string, plural: string): boolean {
  return pathOnly(path).endsWith(`/${plural}`);
}

function pathOnly(path: string): string {
  return path.split('?')[0] ?? '';
}
