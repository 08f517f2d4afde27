/**
 * The `proxy` provider: a layer-4 load balancer inside the controller process. It listens on addresses of a pool and
 * sends what comes in to the NodePorts of the cluster's nodes. Everything it holds is in this process, except the
 * addresses that it adds to an interface if it is told to.
 */
import type { Registry } from 'prom-client';
import { BallastError, type ErrorCode } from '#src/errors';
import { keyOf, parseKey, type LoadBalancerKey } from '#src/loadbalancer/identity';
import { parseIp } from '#src/loadbalancer/ip';
import { listenerKey, type DesiredLoadBalancer, type LoadBalancerId } from '#src/loadbalancer/model';
import type {
  ApplyContext,
  Capabilities,
  InventoryEntry,
  LoadBalancerStatus,
  Plan,
  Provider,
  ProviderContext,
  PublishedLoadBalancer,
} from '#src/loadbalancer/provider';
import type { Log } from '#src/telemetry/log';
import { addressesInUse, type AddressesInUse } from './addresses-in-use.ts';
import { AddressRemoval, REMOVAL_MS } from './address-removal.ts';
import { systemClock, type Clock } from './clock.ts';
import { Engine } from './engine.ts';
import { Frontends } from './frontends.ts';
import { HealthChecker } from './health.ts';
import { httpProbe } from './http-probe.ts';
import { InterfaceAddresses, runIp, type RunIp } from './interface-addresses.ts';
import { ProxyMetrics } from './metrics.ts';
import { NodeViews } from './node-view.ts';
import type { Observed } from './observed.ts';
import { filesNeeded, limitsWithin, mostOpenFiles } from './open-files.ts';
import type { ProxyOptions } from './options.ts';
import { planLoadBalancer } from './plan.ts';
import { poolContains } from './pool.ts';
import { ReadinessWatch } from './readiness-watch.ts';
import { statusOf } from './status.ts';
import type { ProxyStep } from './steps.ts';

export interface ProxyDeps {
  readonly log: Log;
  readonly registry: Registry;
  /** The real one by default. */
  readonly clock?: Clock;
  /** iproute2's `ip` by default. */
  readonly runIp?: RunIp;
  /** What Linux tells by default. */
  readonly addressesInUse?: AddressesInUse;
  /** How many files the process may have open; what the system tells by default. */
  readonly openFiles?: number;
}

const CAPABILITIES: Omit<Capabilities, 'inProcess'> = {
  needsNodePorts: true,
  protocols: ['TCP', 'UDP'],
  ipMode: 'Proxy',
  sharing: true,
  maxListeners: 1_000,
  settings: ['algorithm', 'proxyProtocol', 'idleTimeoutSeconds', 'maxConnections', 'drainTimeoutSeconds'],
  // Also with an interface: its addresses are seen, what listens on them is not.
  seenFromOutside: false,
};

/** Who only gives addresses is in nobody's way: what comes in at them is for kube-proxy on the nodes. */
const ADDRESSES_ONLY = { needsNodePorts: false, ipMode: 'VIP' } as const;

const TOO_FEW_FILES =
  '--proxy-max-connections, --proxy-max-waiting and --proxy-max-udp-sessions need more open files than this process ' +
  'may have; they are lowered in proportion. Raise the limit (ulimit -n, LimitNOFILE=) or lower the flags.';

/** Makes the provider. It listens as soon as steps are applied, and checks health once it runs. */
export function createProxyProvider(options: ProxyOptions, deps: ProxyDeps): Provider<Observed, ProxyStep> {
  return new ProxyProvider(options, deps);
}

class ProxyProvider implements Provider<Observed, ProxyStep> {
  readonly name = 'proxy';
  readonly loadBalancerClass = 'ballast.dev/proxy';
  readonly capabilities: Capabilities;
  readonly ending: Provider['ending'];
  readonly #options: ProxyOptions;
  readonly #checker: HealthChecker;
  readonly #engine: Engine;
  readonly #readiness: ReadinessWatch;
  readonly #interface: InterfaceAddresses | undefined;
  /** Tells, at the start, that the limits are not what was asked for. */
  readonly #warn: () => void = () => {};
  readonly #removal: AddressRemoval | undefined;
  #sweeping: Promise<void> | undefined;
  #runs = false;
  readonly #restored = Promise.withResolvers<void>();
  #listeners: ((id: LoadBalancerId) => void)[] = [];

  constructor(options: ProxyOptions, deps: ProxyDeps) {
    const { log, registry, clock = systemClock, runIp: run = runIp, addressesInUse: inUse = addressesInUse } = deps;
    this.#options = options;
    const openFiles = deps.openFiles ?? mostOpenFiles();
    const limited = options.listen ? limitsWithin(options, openFiles) : options;
    if (limited !== options) {
      const { maxConnections, maxWaiting, maxUdpSessions } = limited;
      const needed = filesNeeded(options);
      this.#warn = () => log.warn({ openFiles, needed, maxConnections, maxWaiting, maxUdpSessions }, TOO_FEW_FILES);
    }
    // Addresses on an interface outlive the process.
    const inProcess = options.interface === undefined;
    this.capabilities = { ...CAPABILITIES, ...(options.listen ? {} : ADDRESSES_ONLY), inProcess };
    if (options.interface !== undefined) {
      this.ending = { atMostMs: options.shutdownTimeoutMs + REMOVAL_MS, option: 'proxy-shutdown-timeout' };
    }
    const metrics = new ProxyMetrics(registry);
    const onChange = (id: LoadBalancerId): void => {
      for (const listener of this.#listeners) listener(id);
    };
    this.#checker = new HealthChecker(
      {
        intervalMs: options.healthIntervalMs,
        timeoutMs: options.healthTimeoutMs,
        thresholds: { healthy: options.healthyThreshold, unhealthy: options.unhealthyThreshold },
      },
      {
        clock,
        probe: httpProbe,
        onChange: (watched) => {
          metrics.health(watched);
          const { node, host, port } = watched.check;
          log.info({ node, host, port, health: watched.health }, 'the health of a node has changed');
          this.#readiness.healthChanged();
        },
        onGone: (check) => metrics.unwatched(check),
      },
    );
    this.#engine = new Engine({
      pool: options.pool,
      views: new NodeViews(this.#checker, options.listen ? options.healthPort : 0),
      frontends: new Frontends(limited, clock, metrics),
      log,
      onChange,
    });
    this.#readiness = new ReadinessWatch(clock, () => this.#engine.all(), onChange);
    this.#interface =
      options.interface === undefined ? undefined : new InterfaceAddresses(options.interface, run, clock);
    const isHeld = (address: string): boolean => this.#engine.claims.isHeld(address);
    this.#removal = this.#interface && new AddressRemoval({ addresses: this.#interface, isHeld, inUse, clock, log });
  }

  restore(published: readonly PublishedLoadBalancer[]): void {
    const { claims } = this.#engine;
    for (const { id, addresses } of published) {
      for (const address of addresses.map(parseIp)) {
        if (address && poolContains(this.#options.pool, address)) claims.restore(keyOf(id), address.text);
      }
    }
    for (const { id, listeners = [] } of published) {
      for (const listener of listeners) claims.reservePort(keyOf(id), listener.address, listenerKey(listener));
    }
    this.#restored.resolve();
  }

  async observe(id: LoadBalancerId, { signal }: ProviderContext): Promise<Observed> {
    signal.throwIfAborted();
    // An address that is about to be swept away is not one to count on.
    await this.#sweeping;
    const local = await this.#local(signal);
    signal.throwIfAborted();
    const own = this.#engine.find(id);
    this.#readiness.saw(id, own?.readinessDigest());
    return {
      id,
      addresses: this.#engine.claims.addressesOf(keyOf(id)),
      holdings: this.#engine.claims.holdings(),
      local,
      listeners: own?.listeners() ?? [],
      targets: own?.targets() ?? [],
      reserved: new Map([...this.#engine.claims.reservedBy(keyOf(id))].map(([each, ports]) => [each, new Set(ports)])),
      draining: (this.#interface && own?.draining()) ?? [],
    };
  }

  /** Undefined without an interface. */
  async #local(signal: AbortSignal): Promise<ReadonlySet<string> | undefined> {
    try {
      return await this.#interface?.local(signal);
    } catch (error) {
      // Who only asks may sit at a machine without iproute2, whose addresses mean nothing anyway.
      if (this.#runs || !hasCode(error, 'InterfaceFailed')) throw error;
      return new Set();
    }
  }

  plan(desired: DesiredLoadBalancer | undefined, observed: Observed): Plan<ProxyStep> {
    return planLoadBalancer(desired, observed, this.#options);
  }

  async apply(step: ProxyStep, context: ApplyContext): Promise<void> {
    const { signal, fence } = context;
    signal.throwIfAborted();
    const { claims } = this.#engine;
    const key = keyOf(step.id);
    switch (step.kind) {
      case 'assignAddress':
        claims.assign(key, step.address);
        return;
      case 'addInterfaceAddress':
        await this.#interface?.add(step.address, signal, fence);
        return;
      case 'setTargets':
        this.#engine.setTargets(step.id, step.member, step.targets);
        return;
      case 'openListener':
      case 'updateListener':
        await this.#engine.setListener(step.id, step.spec, signal);
        return;
      case 'closeListener':
        this.#engine.closeListener(step.id, step.endpoint);
        return;
      case 'freePort':
        claims.freePort(key, step.address, step.port);
        return;
      case 'dropTargets':
        this.#engine.dropTargets(step.id, step.member);
        return;
      case 'releaseAddress':
        this.#engine.checkUnused(step.id, step.address);
        await this.#leave(key, step.address, context);
        claims.release(key, step.address);
    }
  }

  /** Takes the address off the interface unless others hold it, before, or once it is done. */
  async #leave(key: LoadBalancerKey, address: string, { signal, fence }: ApplyContext): Promise<void> {
    const isShared = (): boolean => {
      fence();
      return this.#engine.claims.isHeldByOthers(key, address);
    };
    await this.#interface?.remove(address, () => !isShared(), signal, isShared);
  }

  status(desired: DesiredLoadBalancer, observed: Observed): LoadBalancerStatus {
    return statusOf(desired, observed, this.#options);
  }

  holders(observed: Observed): readonly string[] {
    return observed.targets.map(({ member }) => member);
  }

  async inventory({ signal }: ProviderContext): Promise<readonly InventoryEntry[]> {
    signal.throwIfAborted();
    const entries = new Map<string, InventoryEntry>();
    for (const key of this.#engine.claims.keys()) entries.set(key, { id: parseKey(key), members: [] });
    for (const { id, groups } of this.#engine.all()) {
      if (groups.size > 0) entries.set(keyOf(id), { id, members: [...groups.keys()] });
    }
    return [...entries.values()];
  }

  onChange(listener: (id: LoadBalancerId) => void): void {
    this.#listeners = [...this.#listeners, listener];
  }

  async standby(signal: AbortSignal): Promise<void> {
    await this.#removal?.standby(signal);
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#runs = true;
    this.#warn();
    this.#checker.start(signal);
    const ended = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#sweeping = this.#sweep(ended, signal);
    await Promise.all([ended, this.#sweeping]);
    this.#readiness.stop();
    // Whoever leads now puts the same addresses elsewhere: connections over ours have lost their way already.
    const givesUp = this.#removal !== undefined && hasCode(signal.reason, 'NotLeader');
    await this.#engine.close(givesUp ? 0 : this.#options.shutdownTimeoutMs);
    await this.#removal?.all();
  }

  /** Removes the addresses that an earlier process added and that nobody holds any more. */
  async #sweep(ended: Promise<void>, signal: AbortSignal): Promise<void> {
    await Promise.race([this.#restored.promise, ended]);
    if (!signal.aborted) await this.#removal?.leftovers();
  }
}

function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof BallastError && error.code === code;
}
