import type { OptionSpec } from '../loadbalancer/options.ts';
import { LOG_LEVELS } from '../telemetry/log.ts';
import { METRICS_AUTH } from './settings.ts';

/** Headings of help and of the reference page, in their order. */
export const OPTION_GROUPS = ['Cluster', 'Services', 'Leader election', 'Process'] as const;
export type OptionGroup = (typeof OPTION_GROUPS)[number];

export interface CoreOption extends OptionSpec {
  readonly group: OptionGroup;
}

/**
 * Not 8080 or 9090, which other programs of a laptop hold, not 10248 to 10260, where Kubernetes' own components
 * listen, and below the NodePorts and the kernel's ephemeral ports. Also `ballast plan` looks here.
 */
export const DEFAULT_METRICS_ADDRESS = '127.0.0.1:10270';

/** Every option that is not a provider's, in the order of help and of the reference page. */
export const CORE_OPTIONS: readonly CoreOption[] = [
  {
    group: 'Cluster',
    name: 'kubeconfig',
    type: 'text',
    form: 'the path of a kubeconfig file',
    meaning:
      'How to reach the cluster. Without it: `KUBECONFIG`, then the service account of the pod, then `~/.kube/config`.',
  },
  {
    group: 'Cluster',
    name: 'context',
    type: 'text',
    form: 'the name of a context in the kubeconfig',
    meaning: 'A context of the kubeconfig instead of its current one.',
  },
  {
    group: 'Services',
    name: 'providers',
    type: 'list',
    default: 'proxy',
    form: 'names of providers, separated by commas',
    meaning: 'The providers that run in this controller.',
  },
  {
    group: 'Services',
    name: 'default-provider',
    type: 'text',
    // Where another controller serves those Services, a second one would fight it for their status.
    default: 'none',
    form: 'one of `--providers`, or `none`',
    meaning: 'The provider that takes Services without a `loadBalancerClass`; `none` leaves them alone.',
  },
  {
    group: 'Services',
    name: 'load-balancer-class',
    type: 'list',
    form: '`<class>=<provider>`, several separated by commas',
    meaning: 'Further `loadBalancerClass` values that a provider takes, for a move from another controller.',
  },
  {
    group: 'Services',
    name: 'allow-group',
    type: 'list',
    separator: ';',
    form: '`<namespace>/<group>=<namespace>,…` or `<namespace>/<group>=*`, several separated by semicolons',
    meaning:
      'Lets Services of other namespaces join a load balancer group: those of the namespaces listed, or of all. ' +
      'Without it, a group belongs to one namespace.',
  },
  {
    group: 'Services',
    name: 'allow-address',
    type: 'list',
    separator: ';',
    form:
      '`<addresses>=<namespace>,…` or `<addresses>=*`, several separated by semicolons; the addresses are one, ' +
      '`<first>-<last>`, a CIDR, or `*`',
    meaning:
      'Lets Services of these namespaces, or of all, ask for these addresses. Without it, no Service may choose its ' +
      'address, so that none can take one that another is known by.',
  },
  {
    group: 'Services',
    name: 'node-addresses',
    type: 'list',
    form: 'addresses, ranges and CIDRs, separated by commas',
    meaning:
      'The only addresses that nodes have: one with another InternalIP receives no traffic. Without it, any but ' +
      'loopback, link-local, multicast and unspecified ones.',
  },
  {
    group: 'Services',
    name: 'node-port-range',
    type: 'text',
    default: '30000-32767',
    form: '`<first>-<last>`, ports from 1 to 65535',
    meaning: 'The range of NodePorts of the cluster, as in the API server’s `--service-node-port-range`.',
  },
  {
    group: 'Services',
    name: 'node-loss-limit',
    type: 'integer',
    default: '50',
    least: 1,
    most: 100,
    form: 'a whole number of percent, from 1 to 100',
    meaning:
      'When more than this share of the nodes vanishes at once, or all of them, load balancers keep them as targets ' +
      'for a while. A single node is always let go unless it is the last; with 100 only the loss of all is doubted.',
  },
  {
    group: 'Services',
    name: 'node-loss-window',
    type: 'duration',
    default: '10s',
    least: 100,
    most: 3_600_000,
    form: 'a duration from 100ms to 1h',
    meaning: 'Nodes that vanish within this time have vanished at once.',
  },
  {
    group: 'Services',
    name: 'node-loss-hold',
    type: 'duration',
    // Longer than an API server takes to fill its caches, and than kubelets that run take to be seen again.
    default: '1m',
    least: 0,
    most: 86_400_000,
    form: 'a duration from 0s to 24h',
    meaning: 'How long such nodes are kept before their loss is believed; 0s believes it at once.',
  },
  {
    group: 'Services',
    name: 'workers',
    type: 'integer',
    default: '8',
    least: 1,
    most: 100,
    form: 'a whole number from 1 to 100',
    meaning:
      'How many load balancers each provider works on at once. Those that take longer than 2 s do not count, up to ' +
      'four times this number in all: nobody waits for a few that get no answer.',
  },
  {
    group: 'Services',
    name: 'resync-period',
    type: 'duration',
    default: '10m',
    least: 10_000,
    most: 86_400_000,
    form: 'a duration from 10s to 24h',
    meaning: 'How often every load balancer is compared with the outside although nothing has changed.',
  },
  {
    group: 'Leader election',
    name: 'leader-elect',
    type: 'boolean',
    default: 'true',
    form: '`true` or `false`',
    meaning: 'Work only while holding a Lease, so that of several replicas one works.',
  },
  {
    group: 'Leader election',
    name: 'leader-elect-namespace',
    type: 'text',
    default: 'kube-system',
    form: 'the name of a namespace',
    meaning: 'Where the Lease is. The manifests set it to the pod’s own namespace.',
  },
  {
    group: 'Leader election',
    name: 'leader-elect-name',
    type: 'text',
    default: 'ballast-controller',
    form: 'the name of a Lease',
    meaning: 'The name of the Lease.',
  },
  {
    group: 'Leader election',
    name: 'leader-elect-lease-duration',
    type: 'duration',
    default: '15s',
    least: 1_000,
    most: 3_600_000,
    form: 'a duration of whole seconds from 1s to 1h',
    meaning: 'How long the others wait after the last renewal that they saw before they take over.',
  },
  {
    group: 'Leader election',
    name: 'leader-elect-renew-deadline',
    type: 'duration',
    default: '10s',
    least: 100,
    most: 3_600_000,
    form: 'a duration from 100ms to 1h',
    meaning: 'How long the leader tries to renew before it gives up; shorter than the lease duration.',
  },
  {
    group: 'Leader election',
    name: 'leader-elect-retry-period',
    type: 'duration',
    default: '2s',
    least: 10,
    most: 3_600_000,
    form: 'a duration from 10ms to 1h',
    meaning: 'How long to wait between attempts; 1.2 times of it must be shorter than the renew deadline.',
  },
  {
    group: 'Process',
    name: 'metrics-bind-address',
    type: 'text',
    default: DEFAULT_METRICS_ADDRESS,
    form: '`<address>:<port>`, `:<port>` for every address, or `0` for none',
    meaning:
      'Where `/metrics`, `/healthz`, `/readyz` and the answers for `ballast plan` are served. Port 0 takes any free one.',
  },
  {
    group: 'Process',
    name: 'metrics-tls-cert-file',
    type: 'text',
    form: 'the path of a PEM file',
    meaning: 'Serves TLS there, with this certificate and what leads to its authority; read again when it changes.',
  },
  {
    group: 'Process',
    name: 'metrics-tls-key-file',
    type: 'text',
    form: 'the path of a PEM file',
    meaning: 'The private key of the certificate, not encrypted.',
  },
  {
    group: 'Process',
    name: 'metrics-auth',
    type: 'text',
    default: 'none',
    choices: METRICS_AUTH,
    form: '`none` or `token`',
    meaning:
      'With `token`, everything there but `/healthz` and `/readyz` needs the bearer token of a user of the cluster who ' +
      'may `get` it as a non-resource URL, `/metrics` or `/ballast/api/…` (TokenReview and SubjectAccessReview; ' +
      '`manifests/metrics-auth` has the RBAC rules). With `none`, everybody who reaches the address may have `/metrics`, and only this machine the rest.',
  },
  {
    group: 'Process',
    name: 'log-level',
    type: 'text',
    default: 'info',
    choices: LOG_LEVELS,
    form: `one of ${LOG_LEVELS.map((level) => `\`${level}\``).join(', ')}`,
    meaning: 'The least serious messages that are logged.',
  },
  {
    group: 'Process',
    name: 'shutdown-timeout',
    type: 'duration',
    default: '9s',
    least: 100,
    most: 600_000,
    form: 'a duration from 100ms to 10m',
    meaning:
      'How long the controller may take to end after SIGTERM or SIGINT: work under way and open connections first, ' +
      'the Lease last. A second signal ends it at once.',
  },
];

/** The environment variable of an option: `BALLAST_` and the name in upper snake case. */
export function environmentVariable(name: string): string {
  return `BALLAST_${name.toUpperCase().replaceAll('-', '_')}`;
}
