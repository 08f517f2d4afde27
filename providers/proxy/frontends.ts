import type { LoadBalancerId } from '#src/loadbalancer/model';
import { Buffers } from './buffers.ts';
import type { Clock } from './clock.ts';
import { ConnectionGate } from './connection-gate.ts';
import type { Frontend, FrontendParts } from './frontend.ts';
import type { ListenerSpec } from './listener-spec.ts';
import type { ProxyMetrics } from './metrics.ts';
import type { ProxyOptions } from './options.ts';
import { ReservedFrontend } from './reserved-frontend.ts';
import { Selector } from './selector.ts';
import type { TargetGroup } from './target-group.ts';
import { TcpListener } from './tcp-listener.ts';
import { UdpListener } from './udp-listener.ts';

/** Nodes to begin with: enough for listeners to spread over any number of nodes. */
const FIRST_TURNS = 65_536;

/** Makes frontends; what they share (limits, metrics) is here. */
export class Frontends {
  readonly #options: ProxyOptions;
  readonly #clock: Clock;
  readonly #metrics: ProxyMetrics;
  readonly #connections: ConnectionGate;
  readonly #sessions: ConnectionGate;
  readonly #buffers: Buffers = new Buffers();

  constructor(options: ProxyOptions, clock: Clock, metrics: ProxyMetrics) {
    this.#options = options;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#connections = new ConnectionGate(options.maxConnections, options.maxWaiting);
    this.#sessions = new ConnectionGate(options.maxUdpSessions, 0);
  }

  /** A frontend that is not open yet; one that never opens must be closed all the same. */
  create(id: LoadBalancerId, spec: ListenerSpec, group: TargetGroup, onDied: FrontendParts['onDied']): Frontend {
    if (!this.#options.listen) return new ReservedFrontend(spec);
    const rules = { after: this.#options.ejectAfter, forMs: this.#options.healthIntervalMs };
    const gate = spec.protocol === 'TCP' ? this.#connections : this.#sessions;
    const parts: FrontendParts = {
      spec,
      group,
      selector: new Selector(spec, group, rules, this.#clock, Math.floor(Math.random() * FIRST_TURNS)),
      lane: gate.lane(spec.settings.maxConnections),
      metrics: this.#metrics.listener(id, spec),
      clock: this.#clock,
      buffers: this.#buffers,
      options: this.#options,
      onDied,
    };
    return spec.protocol === 'TCP' ? new TcpListener(parts) : new UdpListener(parts);
  }
}
