import { BallastError } from '../errors.ts';
import type { ClaimRules } from '../loadbalancer/claim.ts';
import { keyOf, parseKey, type LoadBalancerKey } from '../loadbalancer/identity.ts';
import { publishedAddressesOf } from '../loadbalancer/member.ts';
import { publishedListenersOf } from '../loadbalancer/published.ts';
import type { Hold, HoldChange } from '../loadbalancer/nodeguard.ts';
import { leftOutNodes } from '../loadbalancer/nodes.ts';
import { byAge } from '../loadbalancer/desired.ts';
import type { Provider, PublishedLoadBalancer } from '../loadbalancer/provider.ts';
import { Backoff } from '../runtime/backoff.ts';
import { sleep, type Clock } from '../runtime/clock.ts';
import { Controller } from '../runtime/controller.ts';
import type { Log } from '../telemetry/log.ts';
import { startAudit } from './audit.ts';
import { checkServiceConfig, type ServiceConfig } from './config.ts';
import { Echo } from './echo.ts';
import { EventRouter } from './enqueue.ts';
import { explain, type Decision } from './explain.ts';
import type { Leadership } from './leadership.ts';
import { failureOf } from './failure.ts';
import { homeOf } from './gather.ts';
import { Ledger } from './ledger.ts';
import type { ServiceMetrics } from './metrics.ts';
import { nodeAnnouncement } from './nodeevents.ts';
import { NodeTracker } from './nodetracker.ts';
import type { EventSink, Fence, ServiceWriter, Stores } from './ports.ts';
import { planReport, type PlanReport, type Preview } from './preview.ts';
import { Reconciler } from './reconcile.ts';
import { Roster, type Part, type RosterOptions } from './roster.ts';
import { Waiters } from './waiters.ts';
import { Writes } from './writes.ts';

export interface ServiceControllerOptions {
  readonly provider: Provider;
  /** Whose Services are whose, with every provider that runs in this process. */
  readonly rules: ClaimRules;
  /** Synced, and shared with the controllers of the other providers. */
  readonly stores: Stores;
  readonly writer: ServiceWriter;
  readonly events: EventSink;
  /** Called before every write, inside and outside the cluster. */
  readonly fence: Fence;
  readonly config: ServiceConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: ServiceMetrics;
  /** The time of day, for conditions. */
  readonly now?: () => Date;
  /** From 0 to below 1, for choosing NodePorts. */
  readonly random?: () => number;
}

/** How the inventory is tried again at the start; in milliseconds. */
const INVENTORY_BACKOFF = { initialMs: 500, maxMs: 30_000, jitter: 0.2 };

/** Reconciles the Services of one provider. Follows the stores from its construction on, and acts once started. */
export class ServiceController {
  readonly provider: Provider;
  readonly #options: ServiceControllerOptions;
  readonly #claims: RosterOptions;
  readonly #roster: Roster;
  readonly #ledger = new Ledger();
  readonly #waiters = new Waiters();
  readonly #nodes: NodeTracker;
  readonly #router: EventRouter;
  readonly #reconciler: Reconciler;
  readonly #controller: Controller<LoadBalancerKey>;
  #state: 'following' | 'opened' | 'started' | 'ended' = 'following';

  /** Throws a RangeError when the configuration makes no sense. */
  constructor(options: ServiceControllerOptions) {
    checkServiceConfig(options.config);
    const { provider, rules, stores, config, clock, metrics } = options;
    const fence = (): void => this.#fence();
    const echo = new Echo();
    const enqueue = (key: LoadBalancerKey): void => this.#enqueue(key);
    this.provider = provider;
    this.#options = options;
    this.#claims = { provider: provider.name, rules, allowedGroups: config.allowedGroups };
    this.#roster = new Roster(this.#claims);
    this.#nodes = new NodeTracker({
      store: stores.nodes,
      clock,
      guard: config.nodeGuard,
      nodeAddresses: config.nodeAddresses,
      onChange: () => this.#enqueueAll(),
      onHold: (change, hold) => this.#onHold(change, hold),
    });
    this.#router = new EventRouter({ stores, roster: this.#roster, ledger: this.#ledger, echo, enqueue });
    this.#reconciler = new Reconciler({
      ...options,
      fence,
      claims: this.#claims,
      roster: this.#roster,
      ledger: this.#ledger,
      waiters: this.#waiters,
      nodes: () => this.#nodes.current,
      writes: new Writes({ provider: provider.name, writer: options.writer, fence, echo, metrics }),
      enqueue,
      wake: (key) => this.#wake(key),
      now: () => (options.now?.() ?? new Date()).toISOString().replace(/\.\d+Z$/, 'Z'),
      random: options.random ?? Math.random,
    });
    this.#controller = new Controller({
      name: `service/${provider.name}`,
      reconcile: (key, context) => this.#reconciler.reconcile(key, context),
      workers: config.workers,
      clock,
      log: options.log,
      metrics: metrics.controller,
    });
    provider.onChange((id) => this.#onProviderChange(keyOf(id)));
  }

  /** Every load balancer that some Service asks for or that exists outside, as far as is known. */
  keys(): readonly LoadBalancerKey[] {
    return [...new Set([...this.#roster.keys(), ...this.#ledger.keys()])];
  }

  /**
   * Tells the provider which addresses are in use and learns from it what exists outside. Writes nothing. Tries until
   * it works or the signal aborts. Needed once before `planFor`; `start` does it by itself. The stores must have synced.
   */
  async open(signal: AbortSignal): Promise<void> {
    if (this.#state !== 'following') return;
    this.provider.restore(publishedBy(this.#roster));
    for (const { id, members } of await this.#inventory(signal)) this.#ledger.observed(keyOf(id), members);
    this.#state = 'opened';
  }

  /**
   * Works until the signal aborts: looks at every load balancer, then follows the events. Resolves when everything
   * that it started has ended, also a reconcile that does not heed its abort. May be called once, by the leader.
   * Rejects when the provider's own work fails, then as well only once everything has ended.
   */
  async start(signal: AbortSignal): Promise<void> {
    const { clock, config, metrics } = this.#options;
    const stop = new AbortController();
    const ending = AbortSignal.any([signal, stop.signal]);
    try {
      await this.open(signal);
    } catch (error) {
      if (signal.aborted) return this.close();
      throw error;
    }
    this.#state = 'started';
    this.#enqueueAll();
    const endAudit = startAudit({
      periodMs: config.resyncMs,
      clock,
      keys: () => this.keys(),
      enqueue: (key) => this.#enqueue(key),
    });
    const unwatch = metrics.watch({
      provider: this.provider.name,
      loadBalancers: () => this.#ledger.size,
      heldNodes: () => this.#nodes.hold?.missing.length ?? 0,
    });
    const failures: unknown[] = [];
    const whole = async (part: () => Promise<void>): Promise<void> => {
      try {
        await part();
      } catch (error) {
        failures.push(error);
        stop.abort(error);
      }
    };
    await Promise.all([whole(() => this.provider.run(ending)), whole(() => this.#controller.run(ending))]);
    this.#state = 'ended';
    endAudit();
    unwatch();
    this.close();
    await this.#controller.ended;
    if (failures.length > 0) throw failures[0];
  }

  /** Looks at every load balancer at once: for a process that leads again after a time in which it wrote nothing. */
  resync(): void {
    this.#enqueueAll();
  }

  /** Tries at once what failed and waits: for the end of an outage, whose length says nothing of how long to wait. */
  retryFailed(): void {
    const { queue } = this.#controller;
    for (const key of this.keys()) {
      if (queue.numRequeues(key) === 0) continue;
      queue.forget(key);
      this.#enqueue(key);
    }
  }

  /** For `/healthz`: true, or which load balancers' reconciles hang for good. */
  live(): boolean | string {
    return this.#controller.live();
  }

  /** Stops following the stores. */
  close(): void {
    this.#router.stop();
    this.#nodes.stop();
  }

  /**
   * The plan that would be applied now. Observes, and writes nothing.
   * @throws BallastError `NotLeader` before `open`: only who has asked the provider what exists can plan.
   */
  async planFor(key: LoadBalancerKey, signal: AbortSignal): Promise<PlanReport> {
    return planReport(this.provider.name, await this.#preview(key, signal));
  }

  /**
   * Every decision about the Service `namespace/name`, in order; undefined when there is no such Service. Of a Service
   * of another provider it says only that.
   * @throws BallastError `NotLeader` before `open`, for a Service of this provider.
   */
  async explainFor(
    name: string,
    signal: AbortSignal,
    leadership?: Leadership,
  ): Promise<readonly Decision[] | undefined> {
    const { stores, rules, config } = this.#options;
    const service = stores.services.get(name);
    if (service === undefined) return undefined;
    const part = this.#roster.byName(name);
    return explain(service, {
      provider: this.provider.name,
      needsNodePorts: this.provider.capabilities.needsNodePorts,
      rules,
      preview: part?.kind === 'member' ? await this.#preview(this.#homeOf(part), signal) : undefined,
      nodes: this.#nodes.current,
      leftOut: leftOutNodes(stores.nodes.list(), config.nodeAddresses),
      held: this.#nodes.hold?.missing.map(({ name: missing }) => missing) ?? [],
      endpointSlices: stores.endpointSlices.byIndex('service', name),
      ...(leadership && { leadership }),
    });
  }

  #homeOf({ service, key }: Part): LoadBalancerKey {
    return homeOf(service, key, this.#roster, this.#ledger);
  }

  #fence(): void {
    if (this.#state === 'ended') throw new BallastError('NotLeader', 'The controller has ended.');
    this.#options.fence();
  }

  #preview(key: LoadBalancerKey, signal: AbortSignal): Promise<Preview> {
    if (this.#state === 'following') {
      const message = 'This replica only follows; ask the one that holds the Lease.';
      return Promise.reject(new BallastError('NotLeader', message));
    }
    return this.#reconciler.preview(key, { signal, log: this.#options.log });
  }

  #enqueue(key: LoadBalancerKey): void {
    if (this.#state === 'started') this.#controller.queue.add(key);
  }

  #enqueueAll(): void {
    for (const key of this.keys()) this.#enqueue(key);
  }

  /** Told by the one who works; the others hold as well, for they may be the next. */
  #onHold(change: Exclude<HoldChange, 'none'>, hold: Hold): void {
    const { config, events, log } = this.#options;
    const { holdMs } = config.nodeGuard;
    const { node, type, reason, message } = nodeAnnouncement(change, hold, {
      total: this.#nodes.current.nodes.length,
      holdMs,
    });
    log[type === 'Warning' ? 'warn' : 'info']({ provider: this.provider.name, reason }, message);
    if (this.#state === 'started') events.recordNode(node, type, reason, message);
  }

  /** Whatever has changed by itself may also have set free what others wait for. */
  #onProviderChange(key: LoadBalancerKey): void {
    this.#enqueue(key);
    for (const waiting of this.#waiters.others(key)) this.#wake(waiting);
  }

  /** One that has failed is tried again by itself: two that wake each other must not get around their backoff. */
  #wake(key: LoadBalancerKey): void {
    if (this.#controller.queue.numRequeues(key) === 0) this.#enqueue(key);
  }

  async #inventory(signal: AbortSignal): ReturnType<Provider['inventory']> {
    const { clock, log } = this.#options;
    const backoff = new Backoff(INVENTORY_BACKOFF);
    for (;;) {
      signal.throwIfAborted();
      try {
        return await this.provider.inventory({ signal, log });
      } catch (error) {
        const failure = failureOf(error, signal);
        const waitMs = backoff.next();
        log.warn({ provider: this.provider.name, error: failure, waitMs }, 'taking the inventory failed; trying again');
        await sleep(clock, waitMs, signal);
      }
    }
  }
}

/** What the status of this provider's Services shows, by load balancer. Who is older comes first: a status may be forged. */
function publishedBy(roster: Roster): readonly PublishedLoadBalancer[] {
  const parts = [...roster.parts()]
    .filter(({ service }) => publishedAddressesOf(service).length > 0)
    .sort((a, b) => byAge(a.service, b.service));
  return [...Map.groupBy(parts, ({ key }) => key)].map(([key, own]) => ({
    id: parseKey(key),
    addresses: [...new Set(own.flatMap(({ service }) => publishedAddressesOf(service)))],
    listeners: own.flatMap(({ service }) => publishedListenersOf(service)),
  }));
}
