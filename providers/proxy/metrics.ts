import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { keyOf } from '#src/loadbalancer/identity';
import type { LoadBalancerId } from '#src/loadbalancer/model';
import type { Check, Watched } from './health.ts';
import { endpointKey, type Endpoint } from './listener-spec.ts';

const LISTENER = ['load_balancer', 'address', 'port', 'protocol'] as const;
type ListenerLabels = Readonly<Record<(typeof LISTENER)[number], string>>;

/** Most series that tell nodes apart; of the nodes that come after, all count as one, named `other`. */
const MOST_TARGET_SERIES = 10_000;

/**
 * How a connection or session ended: in its own time; with a reset of either side; for silence; because its node or
 * listener went; without a target that could be reached; at the client's address; for want of room.
 */
export const RESULTS = ['closed', 'reset', 'idle', 'drained', 'no-target', 'denied', 'overflow'] as const;
export type Result = (typeof RESULTS)[number];

/** Every metric of the provider. A listener's series go when the listener is gone, a target's with its node. */
export class ProxyMetrics {
  readonly connections: Counter<(typeof LISTENER)[number] | 'result'>;
  readonly active: Gauge<(typeof LISTENER)[number]>;
  readonly waiting: Gauge<(typeof LISTENER)[number]>;
  readonly bytes: Counter<(typeof LISTENER)[number] | 'direction'>;
  readonly connectSeconds: Histogram<(typeof LISTENER)[number]>;
  readonly retries: Counter<(typeof LISTENER)[number]>;
  readonly dropped: Counter<(typeof LISTENER)[number] | 'reason'>;
  readonly targetConnections: Counter<(typeof LISTENER)[number] | 'node' | 'result'>;
  readonly targetHealthy: Gauge<'node' | 'host' | 'port'>;
  /** Listeners by what tells their series apart; one that still drains has the same as its own load balancer's next. */
  readonly #users = new Map<string, number>();
  #targetSeries = 0;

  constructor(registry: Registry) {
    const registers = [registry];
    this.connections = new Counter({
      name: 'ballast_proxy_connections_total',
      help: 'TCP connections and UDP sessions that have ended, by how.',
      labelNames: [...LISTENER, 'result'],
      registers,
    });
    this.active = new Gauge({
      name: 'ballast_proxy_active_connections',
      help: 'TCP connections or UDP sessions that are open.',
      labelNames: LISTENER,
      registers,
    });
    this.waiting = new Gauge({
      name: 'ballast_proxy_waiting_connections',
      help: 'TCP connections that wait, unread, for room under a limit.',
      labelNames: LISTENER,
      registers,
    });
    this.bytes = new Counter({
      name: 'ballast_proxy_bytes_total',
      help: 'Payload bytes from clients (in) and to clients (out).',
      labelNames: [...LISTENER, 'direction'],
      registers,
    });
    this.connectSeconds = new Histogram({
      name: 'ballast_proxy_connect_duration_seconds',
      help: 'How long it took to connect to a target.',
      labelNames: LISTENER,
      buckets: [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 2.5],
      registers,
    });
    this.retries = new Counter({
      name: 'ballast_proxy_retries_total',
      help: 'Connections that were tried on another target because one failed before the first byte.',
      labelNames: LISTENER,
      registers,
    });
    this.dropped = new Counter({
      name: 'ballast_proxy_dropped_datagrams_total',
      help: 'UDP datagrams that were not passed on, by why.',
      labelNames: [...LISTENER, 'reason'],
      registers,
    });
    this.targetConnections = new Counter({
      name: 'ballast_proxy_target_connections_total',
      help: 'Connections and sessions to each node, by whether the node could be reached.',
      labelNames: [...LISTENER, 'node', 'result'],
      registers,
    });
    this.targetHealthy = new Gauge({
      name: 'ballast_proxy_target_healthy',
      help: 'Whether the node passes its health check on this address and port.',
      labelNames: ['node', 'host', 'port'],
      registers,
    });
  }

  listener(id: LoadBalancerId, endpoint: Endpoint): ListenerMetrics {
    const key = `${keyOf(id)} ${endpointKey(endpoint)}`;
    this.#users.set(key, (this.#users.get(key) ?? 0) + 1);
    const { address, port, protocol } = endpoint;
    return new ListenerMetrics(this, { load_balancer: keyOf(id), address, port: String(port), protocol }, () => {
      const users = (this.#users.get(key) ?? 1) - 1;
      if (users > 0) this.#users.set(key, users);
      else this.#users.delete(key);
      return users === 0;
    });
  }

  health({ check, health }: Watched): void {
    this.targetHealthy.set(checkLabels(check), health === 'healthy' ? 1 : 0);
  }

  unwatched(check: Check): void {
    this.targetHealthy.remove(checkLabels(check));
  }

  /** Whether another node may have series of its own. */
  reserveTarget(): boolean {
    if (this.#targetSeries >= MOST_TARGET_SERIES) return false;
    this.#targetSeries++;
    return true;
  }

  releaseTarget(): void {
    this.#targetSeries--;
  }
}

function checkLabels({ node, host, port }: Check): { node: string; host: string; port: string } {
  return { node, host, port: String(port) };
}

/** The series of one listener. Once closed it counts nothing, lest a late event brings a series back. */
export class ListenerMetrics {
  readonly #all: ProxyMetrics;
  readonly #labels: ListenerLabels;
  /** Gives the labels back; returns whether nobody else has them. */
  readonly #release: () => boolean;
  /** Nodes with series of their own. */
  readonly #nodes = new Set<string>();
  #closed = false;

  constructor(all: ProxyMetrics, labels: ListenerLabels, release: () => boolean) {
    this.#all = all;
    this.#labels = labels;
    this.#release = release;
    for (const direction of DIRECTIONS) all.bytes.inc({ ...labels, direction }, 0);
    all.active.inc(labels, 0);
  }

  opened(): void {
    if (!this.#closed) this.#all.active.inc(this.#labels);
  }

  ended(result: Result): void {
    if (this.#closed) return;
    this.#all.active.dec(this.#labels);
    this.#all.connections.inc({ ...this.#labels, result });
  }

  /** A connection that ended before it counted as open. */
  refused(result: Result): void {
    if (!this.#closed) this.#all.connections.inc({ ...this.#labels, result });
  }

  waits(change: 1 | -1): void {
    if (!this.#closed) this.#all.waiting.inc(this.#labels, change);
  }

  bytes(direction: Direction, count: number): void {
    if (!this.#closed) this.#all.bytes.inc({ ...this.#labels, direction }, count);
  }

  connected(milliseconds: number): void {
    if (!this.#closed) this.#all.connectSeconds.observe(this.#labels, milliseconds / 1_000);
  }

  retried(): void {
    if (!this.#closed) this.#all.retries.inc(this.#labels);
  }

  dropped(reason: DropReason): void {
    if (!this.#closed) this.#all.dropped.inc({ ...this.#labels, reason });
  }

  target(node: string, result: TargetResult): void {
    if (this.#closed) return;
    if (!this.#nodes.has(node) && this.#all.reserveTarget()) this.#nodes.add(node);
    const label = this.#nodes.has(node) ? node : 'other';
    this.#all.targetConnections.inc({ ...this.#labels, node: label, result });
  }

  /** Removes the series of nodes that are no longer targets. */
  keepTargets(isTarget: (node: string) => boolean): void {
    for (const node of this.#nodes) if (!isTarget(node)) this.#forget(node);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const node of this.#nodes) this.#forget(node);
    if (!this.#release()) return;
    const { connections, active, waiting, bytes, connectSeconds, retries, dropped, targetConnections } = this.#all;
    for (const metric of [active, waiting, connectSeconds, retries]) metric.remove(this.#labels);
    for (const result of RESULTS) connections.remove({ ...this.#labels, result });
    for (const direction of DIRECTIONS) bytes.remove({ ...this.#labels, direction });
    for (const reason of DROP_REASONS) dropped.remove({ ...this.#labels, reason });
    for (const result of TARGET_RESULTS) targetConnections.remove({ ...this.#labels, node: 'other', result });
  }

  #forget(node: string): void {
    this.#nodes.delete(node);
    this.#all.releaseTarget();
    for (const result of TARGET_RESULTS) this.#all.targetConnections.remove({ ...this.#labels, node, result });
  }
}

const DIRECTIONS = ['in', 'out'] as const;
export type Direction = (typeof DIRECTIONS)[number];
const TARGET_RESULTS = ['reached', 'failed'] as const;
export type TargetResult = (typeof TARGET_RESULTS)[number];
/** The client may not send; it gave no port to answer to; there is no room for a session; no target; a queue is full; the network refused it. */
const DROP_REASONS = ['denied', 'no-port', 'no-room', 'no-target', 'queue-full', 'send-failed'] as const;
export type DropReason = (typeof DROP_REASONS)[number];
