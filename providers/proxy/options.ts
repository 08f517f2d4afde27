/** Everything that can be set for the proxy provider from outside; flags, environment and the reference page follow from it. */
import { z } from 'zod';
import { BallastError } from '#src/errors';
import type { Algorithm } from '#src/loadbalancer/model';
import { parseDuration, type OptionSpec } from '#src/loadbalancer/options';
import { parsePool, type Pool } from './pool.ts';
import { parseReservedPorts, type PortRange } from './reserved-ports.ts';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;

export const PROXY_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'proxy-addresses',
    type: 'list',
    // The one address that every machine has and that never leaves it: nothing is exposed by accident, and
    // `curl 127.0.0.1` is what people on a laptop try first. Services share it by port.
    default: '127.0.0.1',
    form: 'addresses, ranges and CIDRs of IPv4 and IPv6, like 192.0.2.1,192.0.2.10-192.0.2.20,fd00::200/124',
    meaning: 'The pool of addresses that load balancers get. A single address of a family is shared by port.',
  },
  {
    name: 'proxy-interface',
    type: 'text',
    form: 'the name of a network interface, like eth0',
    meaning:
      'Adds addresses of the pool to this interface while they are in use and removes them afterwards (needs ' +
      'CAP_NET_ADMIN). Without it, each address must be on the machine already.',
  },
  {
    name: 'proxy-listen',
    type: 'boolean',
    default: 'true',
    form: '`true` or `false`',
    meaning:
      'With `false`, Services get addresses and nothing more: no socket is opened, no node is asked for its health, no ' +
      'NodePort is needed. For clusters where something else brings the traffic to the nodes, and for tests.',
  },
  {
    name: 'proxy-reserved-ports',
    type: 'list',
    // A Service must not stand in for the machine while its own program restarts: ssh, kubelet, kube-proxy and the
    // other components of Kubernetes, and our own metrics.
    default: '22,10248-10260,10270',
    form: 'ports and ranges like 22,10248-10260, or none',
    meaning:
      'Ports, of TCP and UDP, that no Service gets, because the machine itself needs them. Where addresses of the pool ' +
      'are used for something else too, add what listens there.',
  },
  {
    name: 'proxy-algorithm',
    type: 'text',
    default: 'round-robin',
    form: 'round-robin or least-connections',
    choices: ['round-robin', 'least-connections'],
    meaning: 'How the next target is chosen where a Service does not say.',
  },
  {
    name: 'proxy-max-connections',
    type: 'integer',
    default: '8000',
    form: 'a whole number from 1 to 1000000',
    least: 1,
    most: 1_000_000,
    meaning: 'TCP connections at once over all Services; each takes two file descriptors. More have to wait.',
  },
  {
    name: 'proxy-max-waiting',
    type: 'integer',
    default: '1000',
    form: 'a whole number from 0 to 1000000',
    least: 0,
    most: 1_000_000,
    meaning: 'Connections that may wait for room under a limit, unread; more are reset.',
  },
  {
    name: 'proxy-max-udp-sessions',
    type: 'integer',
    default: '2000',
    form: 'a whole number from 1 to 1000000',
    least: 1,
    most: 1_000_000,
    meaning:
      'UDP sessions at once over all Services; at the limit, the longest silent one of the port that has most ends.',
  },
  {
    name: 'proxy-idle-timeout',
    type: 'duration',
    default: '1h',
    form: 'a duration from 1s to 24h',
    least: SECOND,
    most: 24 * HOUR,
    meaning: 'How long a TCP connection may stay silent where a Service does not say.',
  },
  {
    name: 'proxy-udp-idle-timeout',
    type: 'duration',
    default: '2m',
    form: 'a duration from 1s to 24h',
    least: SECOND,
    most: 24 * HOUR,
    meaning: 'How long a UDP session may stay silent where a Service does not say.',
  },
  {
    name: 'proxy-connect-timeout',
    type: 'duration',
    default: '2s',
    form: 'a duration from 10ms to 1m',
    least: 10,
    most: 60 * SECOND,
    meaning: 'How long connecting to one target may take before the next is tried.',
  },
  {
    name: 'proxy-connect-attempts',
    type: 'integer',
    // With the pauses between them, 1.5 s at least: longer than kube-proxy takes to follow the endpoints.
    default: '7',
    form: 'a whole number from 1 to 12',
    least: 1,
    most: 12,
    meaning:
      'How often connecting is tried for one connection before it is reset: three times at once, then after pauses of ' +
      '100 ms, 200 ms and so on; on nodes that were not tried yet as long as there are any. Also on how many nodes one ' +
      'UDP datagram is tried.',
  },
  {
    name: 'proxy-drain-timeout',
    type: 'duration',
    default: '30s',
    form: 'a duration from 0s to 1h',
    least: 0,
    most: HOUR,
    meaning: 'How long open connections may go on when their node or their port goes, where a Service does not say.',
  },
  {
    name: 'proxy-shutdown-timeout',
    type: 'duration',
    default: '7s',
    form: 'a duration from 0s to 1h',
    least: 0,
    most: HOUR,
    meaning: 'How long open connections may go on when the controller ends.',
  },
  {
    name: 'proxy-health-port',
    type: 'integer',
    default: '10256',
    form: 'a port, or 0 for no health checks',
    least: 0,
    most: 65_535,
    meaning: 'The port on which kube-proxy of each node tells its health. With 0 only failed connections count.',
  },
  {
    name: 'proxy-health-interval',
    type: 'duration',
    default: '3s',
    form: 'a duration from 100ms to 1h',
    least: 100,
    most: HOUR,
    meaning: 'How often the health of each node is asked; stretched where there are thousands of nodes.',
  },
  {
    name: 'proxy-health-timeout',
    type: 'duration',
    default: '1s',
    form: 'a duration from 10ms to 1m',
    least: 10,
    most: 60 * SECOND,
    meaning: 'How long a node may take to answer a health check.',
  },
  {
    name: 'proxy-healthy-threshold',
    type: 'integer',
    default: '1',
    form: 'a whole number from 1 to 100',
    least: 1,
    most: 100,
    meaning: 'Health checks in a row that a node has to pass to be used again.',
  },
  {
    name: 'proxy-unhealthy-threshold',
    type: 'integer',
    default: '2',
    form: 'a whole number from 1 to 100',
    least: 1,
    most: 100,
    meaning: 'Health checks in a row without an answer that take a node out. An answer other than 200 does so at once.',
  },
  {
    name: 'proxy-eject-after',
    type: 'integer',
    default: '3',
    form: 'a whole number from 1 to 100',
    least: 1,
    most: 100,
    meaning:
      'Connections in a row that fail before a node gets no more of one port until its health check passes again.',
  },
];

/** What the provider works with; times in milliseconds. */
export interface ProxyOptions {
  readonly pool: Pool;
  readonly interface: string | undefined;
  /** False: addresses are given, and nothing listens on them. */
  readonly listen: boolean;
  readonly reservedPorts: readonly PortRange[];
  readonly algorithm: Algorithm;
  readonly maxConnections: number;
  readonly maxWaiting: number;
  readonly maxUdpSessions: number;
  readonly idleTimeoutMs: number;
  readonly udpIdleTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly connectAttempts: number;
  readonly drainTimeoutMs: number;
  readonly shutdownTimeoutMs: number;
  /** 0 for no checks. */
  readonly healthPort: number;
  readonly healthIntervalMs: number;
  readonly healthTimeoutMs: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
  readonly ejectAfter: number;
}

const SCHEMA = z.strictObject({
  'proxy-addresses': list('proxy-addresses'),
  // Linux: at most 15 bytes, no slash, no white space (net/core/dev.c, dev_valid_name).
  'proxy-interface': z
    .string()
    .regex(/^[^\s/:-][^\s/:]{0,14}$/)
    .optional(),
  'proxy-listen': z.boolean().default(true),
  'proxy-reserved-ports': list('proxy-reserved-ports'),
  'proxy-algorithm': z.enum(['round-robin', 'least-connections']).default('round-robin'),
  'proxy-max-connections': number('proxy-max-connections'),
  'proxy-max-waiting': number('proxy-max-waiting'),
  'proxy-max-udp-sessions': number('proxy-max-udp-sessions'),
  'proxy-idle-timeout': number('proxy-idle-timeout'),
  'proxy-udp-idle-timeout': number('proxy-udp-idle-timeout'),
  'proxy-connect-timeout': number('proxy-connect-timeout'),
  'proxy-connect-attempts': number('proxy-connect-attempts'),
  'proxy-drain-timeout': number('proxy-drain-timeout'),
  'proxy-shutdown-timeout': number('proxy-shutdown-timeout'),
  'proxy-health-port': number('proxy-health-port'),
  'proxy-health-interval': number('proxy-health-interval'),
  'proxy-health-timeout': number('proxy-health-timeout'),
  'proxy-healthy-threshold': number('proxy-healthy-threshold'),
  'proxy-unhealthy-threshold': number('proxy-unhealthy-threshold'),
  'proxy-eject-after': number('proxy-eject-after'),
});

/**
 * Values by option name, of the types that `PROXY_OPTIONS` says (durations in milliseconds), to what the provider
 * works with; what is absent gets its default. Throws `InvalidConfig` naming the flag.
 */
export function parseProxyOptions(raw: Readonly<Record<string, unknown>>): ProxyOptions {
  const result = SCHEMA.safeParse(raw);
  if (!result.success) throw invalid(result.error.issues[0]);
  const { data } = result;
  return {
    pool: parsePool(data['proxy-addresses'], 'proxy-addresses'),
    interface: data['proxy-interface'],
    listen: data['proxy-listen'],
    reservedPorts: parseReservedPorts(data['proxy-reserved-ports'], 'proxy-reserved-ports'),
    algorithm: data['proxy-algorithm'],
    maxConnections: data['proxy-max-connections'],
    maxWaiting: data['proxy-max-waiting'],
    maxUdpSessions: data['proxy-max-udp-sessions'],
    idleTimeoutMs: data['proxy-idle-timeout'],
    udpIdleTimeoutMs: data['proxy-udp-idle-timeout'],
    connectTimeoutMs: data['proxy-connect-timeout'],
    connectAttempts: data['proxy-connect-attempts'],
    drainTimeoutMs: data['proxy-drain-timeout'],
    shutdownTimeoutMs: data['proxy-shutdown-timeout'],
    healthPort: data['proxy-health-port'],
    healthIntervalMs: data['proxy-health-interval'],
    healthTimeoutMs: data['proxy-health-timeout'],
    healthyThreshold: data['proxy-healthy-threshold'],
    unhealthyThreshold: data['proxy-unhealthy-threshold'],
    ejectAfter: data['proxy-eject-after'],
  };
}

function spec(name: string): OptionSpec {
  const found = PROXY_OPTIONS.find((option) => option.name === name);
  if (!found) throw new TypeError(`no option ${name}`);
  return found;
}

/** An integer or a duration within its limits, with its default. */
function number(name: string): z.ZodDefault<z.ZodInt> {
  const { type, default: text = '', least = 0, most = Number.MAX_SAFE_INTEGER } = spec(name);
  const value = type === 'duration' ? parseDuration(text) : Number(text);
  if (value === undefined) throw new TypeError(`the default of ${name} is no ${type}`);
  return z.int().min(least).max(most).default(value);
}

function list(name: string): z.ZodDefault<z.ZodArray<z.ZodString>> {
  return z
    .array(z.string())
    .min(1)
    .default((spec(name).default ?? '').split(','));
}

function invalid(issue: z.core.$ZodIssue | undefined): BallastError {
  const name =
    issue?.code === 'unrecognized_keys' ? String(issue.keys[0]) : String(issue?.path[0] ?? 'the proxy’s options');
  const known = PROXY_OPTIONS.find((option) => option.name === name);
  const message = known
    ? `--${name} must be ${known.form}.`
    : `--${name} is not an option of the proxy provider; see --help for those there are.`;
  return new BallastError('InvalidConfig', message, { field: name });
}
