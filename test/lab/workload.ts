import type { LabContext } from './context.ts';
import { AGNHOST_CERTIFICATE, AGNHOST_IMAGE, AGNHOST_KEY } from './lab-images.ts';
import { waitFor } from './wait.ts';

/** What agnhost's `netexec` listens on in its pod. HTTP paths: `/hostname`, `/clientip`, `/healthz`, `/exit`, …. */
export const NETEXEC_PORTS = { http: 8080, https: 8443, udp: 8081 } as const;

export interface NetexecOptions {
  /** Name of the Deployment, and value of its pods' label `app`. */
  readonly name: string;
  /** Default `default`; must be there. */
  readonly namespace?: string;
  /** Default 3. */
  readonly replicas?: number;
  /** Whether a second container serves the same with TLS (self-signed) on port 8443. Default false. */
  readonly https?: boolean;
  /** How long a pod goes on serving after it was told to end, in seconds. Default 0. */
  readonly shutdownDelaySeconds?: number;
  /** Labels that a node must have for a pod to run there. Default: any node, evenly spread. */
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** How long the pods may take to be available. Default 60 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Creates a Deployment of agnhost's `netexec`, one pod per node as far as they go, and waits until it is available. */
export async function deployNetexec(context: LabContext, options: NetexecOptions): Promise<void> {
  const { namespace = 'default', signal } = options;
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments`;
  await context.api.text('POST', path, netexecDeployment(options), { signal });
  await waitForDeployment(context, options);
}

function netexecDeployment(options: NetexecOptions): object {
  const { name, namespace = 'default', replicas = 3, https = false, shutdownDelaySeconds = 0, nodeSelector } = options;
  const labels = { app: name };
  const delay = `--delay-shutdown=${shutdownDelaySeconds}`;
  const plain = netexecContainer('http', { path: '/healthz', port: NETEXEC_PORTS.http, scheme: 'HTTP' }, [
    `--udp-port=${NETEXEC_PORTS.udp}`,
    delay,
  ]);
  // Its /healthz asks whether its UDP server is there.
  const secure = netexecContainer('https', { path: '/hostname', port: NETEXEC_PORTS.https, scheme: 'HTTPS' }, [
    '--udp-port=-1',
    `--tls-cert-file=${AGNHOST_CERTIFICATE}`,
    `--tls-private-key-file=${AGNHOST_KEY}`,
    delay,
  ]);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: shutdownDelaySeconds + 5,
          ...(nodeSelector && { nodeSelector }),
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: labels },
            },
          ],
          containers: https ? [plain, secure] : [plain],
        },
      },
    },
  };
}

interface HttpGet {
  readonly path: string;
  readonly port: number;
  readonly scheme: 'HTTP' | 'HTTPS';
}

function netexecContainer(name: string, httpGet: HttpGet, args: readonly string[]): object {
  return {
    name,
    image: AGNHOST_IMAGE,
    imagePullPolicy: 'IfNotPresent',
    args: ['netexec', `--http-port=${httpGet.port}`, ...args],
    readinessProbe: { httpGet, periodSeconds: 1, failureThreshold: 1 },
  };
}

interface DeploymentObject {
  readonly metadata: { readonly generation: number };
  readonly spec: { readonly replicas: number };
  readonly status: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
  };
}

/** Waits until a Deployment has exactly the pods it wants, all of the newest template and available. */
export async function waitForDeployment(
  context: LabContext,
  options: Pick<NetexecOptions, 'name' | 'namespace' | 'timeoutMs' | 'signal'>,
): Promise<void> {
  const { name, namespace = 'default', timeoutMs = 60_000, signal } = options;
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
  await waitFor({
    what: `Deployment ${namespace}/${name} to be available`,
    timeoutMs,
    signal,
    check: async () => {
      const { metadata, spec, status } = await context.api.json<DeploymentObject>('GET', path, undefined, { signal });
      const counts = [status.replicas ?? 0, status.updatedReplicas ?? 0, status.availableReplicas ?? 0];
      if (status.observedGeneration === metadata.generation && counts.every((count) => count === spec.replicas)) {
        return true;
      }
      throw new Error(`of ${spec.replicas} wanted there are ${counts.join(', ')} in all, up to date, available`);
    },
  });
}
