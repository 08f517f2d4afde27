import { BallastError } from '../errors.ts';
import type { Service } from '../kube/wire.ts';
import { buildDesired, type DesiredInput, type DesiredResult } from '../loadbalancer/desired.ts';
import { keyOf, parseKey, type LoadBalancerKey } from '../loadbalancer/identity.ts';
import { listenerKey } from '../loadbalancer/model.ts';
import type { DesiredLoadBalancer, LoadBalancerId, NodeSet, Wishes } from '../loadbalancer/model.ts';
import type { Provider, ProviderContext } from '../loadbalancer/provider.ts';
import type { ReconcileContext } from '../runtime/controller.ts';
import type { Result } from '../runtime/outcome.ts';
import { Announcer, uidsOf, waitingMembers, type Work } from './announcer.ts';
import { applySteps, type Applied } from './apply.ts';
import { stillAsksFor } from './asksfor.ts';
import type { ServiceConfig } from './config.ts';
import { decide, mayPass, problemsByMember, worstOf } from './decide.ts';
import { failureOf } from './failure.ts';
import { hasFinalizer } from './finalizers.ts';
import { gather, type Gathered } from './gather.ts';
import { Leavers } from './leavers.ts';
import { LastGood } from './lastgood.ts';
import type { Ledger } from './ledger.ts';
import type { ServiceMetrics } from './metrics.ts';
import { keyName, type EventSink, type Fence, type Stores } from './ports.ts';
import { needsPreparation, prepareService, withoutPostponed } from './prepare.ts';
import type { MemberFailure, PrepareOptions, Unprepared } from './prepare.ts';
import type { Preview } from './preview.ts';
import { ReconcileResults } from './reconcileresult.ts';
import type { Roster, RosterOptions } from './roster.ts';
import { StatusWriter } from './statuswriter.ts';
import type { Waiters } from './waiters.ts';
import type { Writes } from './writes.ts';

export interface ReconcilerOptions {
  readonly provider: Provider;
  readonly claims: RosterOptions;
  readonly config: ServiceConfig;
  readonly stores: Stores;
  readonly roster: Roster;
  readonly ledger: Ledger;
  readonly waiters: Waiters;
  readonly nodes: () => NodeSet;
  readonly writes: Writes;
  readonly events: EventSink;
  readonly fence: Fence;
  readonly metrics: ServiceMetrics;
  readonly enqueue: (key: LoadBalancerKey) => void;
  /** Has a load balancer look again whether what it waits for is free, unless it will soon by itself. */
  readonly wake: (key: LoadBalancerKey) => void;
  /** The time of day, RFC 3339 with seconds. */
  readonly now: () => string;
  /** From 0 to below 1, for choosing NodePorts. */
  readonly random: () => number;
}

/** How often to look whether a load balancer that is being removed has gone; in milliseconds. */
const GONE_POLL_MS = 5_000;

/** The Services that ask for a load balancer, made fit to be served. */
interface Prepared {
  /** The newest states we know, of all that still exist. */
  readonly members: readonly Service[];
  /** Those that may be served. */
  readonly servable: readonly Service[];
  readonly failures: readonly MemberFailure[];
  readonly writes: number;
}

/** How much is let pass when the desired state is built for something else than planning. */
interface Strictness {
  readonly needsNodePorts?: false;
  readonly lenient?: true;
  readonly lastGood?: DesiredInput['lastGood'];
}

/** Brings one load balancer of one provider to what its Services ask for: "Flow" in `docs/design.md`. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #statuses: StatusWriter;
  readonly #leavers: Leavers;
  readonly #lastGood: LastGood;
  readonly #results = new ReconcileResults();
  readonly #announcer: Announcer;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#statuses = new StatusWriter(options);
    this.#leavers = new Leavers(options);
    this.#announcer = new Announcer(options.events, options.ledger);
    this.#lastGood = new LastGood({ provider: options.provider.name, ledger: options.ledger });
  }

  async reconcile(key: LoadBalancerKey, context: ReconcileContext): Promise<Result> {
    const { roster, ledger, enqueue } = this.#options;
    // 1. Gather
    const gathered = gather(key, roster, ledger);
    ledger.intend(key, uidsOf(gathered.members));
    try {
      return await this.#reconcile(key, gathered, context);
    } finally {
      // Those who have begun to leave meanwhile were held for our sake.
      for (const uid of ledger.endIntent(key)) {
        const part = roster.byUid(uid);
        if (part?.kind === 'leaving') enqueue(part.key);
      }
    }
  }

  async #reconcile(key: LoadBalancerKey, { members, leaving }: Gathered, context: ReconcileContext): Promise<Result> {
    const { provider, ledger, waiters, enqueue } = this.#options;
    const { signal } = context;

    // 2. Prepare
    const prepared = await this.#prepare(parseKey(key), members, context);

    // 3. Desired
    const wanted = this.#wanted(key, prepared.servable);

    // 4. Observe
    const since = waiters.now;
    const found = await this.#observeOrTell(key, prepared, wanted, context);
    const heldBefore = ledger.heldBy(key);

    // 5. Plan
    const { plan, kept } = decide(provider, wanted, prepared.members, found);
    if (waiters.note(key, plan.refusals, since)) enqueue(key);

    // 6. Apply
    const work = { key, members: prepared.members, leaving, wanted, plan };
    const { applied, failures: stepFailures } = await this.#apply(work, context);
    const observed = plan.steps.length > 0 ? await this.#observeOrTell(key, prepared, wanted, context) : found;

    // 7. Status
    const refusals = [...wanted.refusals, ...plan.refusals];
    const served = kept ? this.#served(parseKey(key), prepared.members, observed) : wanted.desired;
    const status = served && provider.status(served, observed);
    const statuses = await this.#statuses.write({
      key,
      members: withoutPostponed(prepared.members, prepared.failures),
      desired: served,
      kept,
      problemsOf: problemsByMember(wanted.desired, refusals, prepared.failures, stepFailures),
      warnings: wanted.warnings,
      observed: status,
      signal,
    });

    // 8. Release
    const released = await this.#leavers.seeOff(leaving, stepFailures[0]?.error, signal);

    if (applied > 0 && heldBefore.size > 0) this.#wakeWaiters(key);
    const worst = worstOf([
      ...[...prepared.failures, ...stepFailures].map(({ error }) => error),
      ...statuses.errors,
      ...released.errors,
      ...refusals.filter(mayPass).map(({ code, message }) => new BallastError(code, message)),
    ]);
    if (worst) throw worst;
    const lingers = wanted.desired === undefined && !kept && ledger.heldBy(key).size > 0;
    return this.#results.resultOf(key, {
      steps: plan.steps.length,
      writes: prepared.writes + statuses.writes + released.writes,
      pollAfterMs: lingers ? GONE_POLL_MS : status?.pollAfterMs,
      refusals,
    });
  }

  /** What `reconcile` would find and do now. Writes nothing. */
  async preview(key: LoadBalancerKey, context: ProviderContext): Promise<Preview> {
    const { provider, roster, ledger } = this.#options;
    const id = parseKey(key);
    const { members } = gather(key, roster, ledger);
    const wanted = this.#wanted(key, members);
    const observed = await provider.observe(id, context);
    const { plan, kept } = decide(provider, wanted, members, observed);
    const served = kept ? this.#served(id, members, observed) : wanted.desired;
    return {
      key,
      id,
      members,
      leaving: gather(key, roster, ledger).leaving,
      unprepared: this.#unprepared(id, members, this.#prepareOptions(id, context)).map(({ service }) => service),
      wanted,
      plan,
      kept,
      status: served && provider.status(served, observed),
    };
  }

  /** What these Services ask for; those who work and ask nonsense go on with what they wished before. */
  #wanted(key: LoadBalancerKey, services: readonly Service[], strictness: Strictness = {}): DesiredResult {
    const lastGood = (service: Service): Partial<Wishes> | undefined => this.#lastGood.of(key, service);
    return this.#desired(parseKey(key), services, { ...strictness, lastGood });
  }

  /** What these Services ask for, by the stores. */
  #desired(id: LoadBalancerId, services: readonly Service[], strictness: Strictness = {}): DesiredResult {
    const { provider, stores, config, nodes } = this.#options;
    const { needsNodePorts = provider.capabilities.needsNodePorts, lenient = false, lastGood } = strictness;
    return buildDesired({
      id,
      services,
      nodes: nodes(),
      capabilities: { ...provider.capabilities, needsNodePorts },
      allowedGroups: config.allowedGroups,
      addressGrants: config.addressGrants,
      endpointSlicesOf: (service) => stores.endpointSlices.byIndex('service', keyName(service)),
      lenient,
      ...(lastGood && { lastGood }),
    });
  }

  /** What a load balancer that was left as it is goes on serving, as far as its members still say; for their status. */
  #served(id: LoadBalancerId, members: readonly Service[], observed: unknown): DesiredLoadBalancer | undefined {
    const holders = this.#options.provider.holders(observed);
    const holding = members.filter(({ metadata }) => holders.includes(metadata.uid));
    return this.#desired(id, holding, { needsNodePorts: false, lenient: true }).desired;
  }

  /** The Services that are fit to be served but lack a finalizer or a NodePort. */
  #unprepared(id: LoadBalancerId, members: readonly Service[], options: PrepareOptions): readonly Unprepared[] {
    if (!members.some((service) => needsPreparation(service, options))) return [];
    const { desired } = this.#wanted(keyOf(id), members, { needsNodePorts: false });
    const accepted = new Map(
      desired?.members.map((member) => [member.ref.uid, new Set(member.listeners.map(listenerKey))]),
    );
    return members.flatMap((service) => {
      const ports = accepted.get(service.metadata.uid);
      return ports && needsPreparation(service, options, ports) ? { service, ports } : [];
    });
  }

  async #prepare(id: LoadBalancerId, members: readonly Service[], context: ReconcileContext): Promise<Prepared> {
    const { provider, ledger } = this.#options;
    const options = this.#prepareOptions(id, context);
    const newest = new Map(members.map((service) => [service.metadata.uid, service]));
    const unservable = new Set<string>();
    const failures: MemberFailure[] = [];
    let writes = 0;
    for (const { service, ports } of this.#unprepared(id, members, options)) {
      const { uid } = service.metadata;
      const result = await prepareService(service, options, ports);
      if (result.written) writes += 1;
      failures.push(...result.failures);
      if (result.service === undefined) {
        newest.delete(uid);
        continue;
      }
      newest.set(uid, result.service);
      // What is held already goes on being served: nothing is made that could be left behind unseen.
      const safe = options.finalizerLater || hasFinalizer(result.service, provider.name);
      if (!safe && ledger.holdersOf(uid).size === 0) unservable.add(uid);
    }
    const present = [...newest.values()];
    return {
      members: present,
      servable: present.filter(({ metadata }) => !unservable.has(metadata.uid)),
      failures,
      writes,
    };
  }

  #prepareOptions(id: LoadBalancerId, { signal, log }: ProviderContext): PrepareOptions {
    const { provider, writes, config, stores, claims, random } = this.#options;
    return {
      provider: provider.name,
      writes,
      needsNodePorts: provider.capabilities.needsNodePorts,
      finalizerLater: provider.capabilities.inProcess,
      range: config.nodePortRange,
      allServices: () => stores.services.list(),
      random,
      signal,
      log,
      isMember: (service) => stillAsksFor(service, keyOf(id), claims),
    };
  }

  /** Observes, and puts what is held into the ledger. */
  async #observe(key: LoadBalancerKey, { signal, log }: ReconcileContext): Promise<unknown> {
    const { provider, ledger } = this.#options;
    const observed = await provider.observe(parseKey(key), { signal, log });
    signal.throwIfAborted();
    ledger.observed(key, provider.holders(observed));
    return observed;
  }

  /**
   * Observes. Failing that, tells it on the members that have no working load balancer yet; what worked is left as it
   * was, because not seeing it says nothing about it.
   */
  async #observeOrTell(
    key: LoadBalancerKey,
    { members }: Prepared,
    wanted: DesiredResult,
    context: ReconcileContext,
  ): Promise<unknown> {
    try {
      return await this.#observe(key, context);
    } catch (error) {
      const { roster, ledger } = this.#options;
      const failure = failureOf(error, context.signal);
      const { code, message } = failure;
      await this.#statuses.write({
        key,
        members: waitingMembers(members, wanted),
        desired: wanted.desired,
        kept: false,
        problemsOf: () => ({ refusals: [], failures: [{ code, message }] }),
        warnings: wanted.warnings,
        observed: undefined,
        signal: context.signal,
      });
      const { leaving } = gather(key, roster, ledger);
      const held = leaving.filter(({ metadata }) => ledger.holdersOf(metadata.uid).size > 0);
      await this.#leavers.seeOff(held, failure, context.signal);
      throw error;
    }
  }

  async #apply(work: Work, { signal, log }: ReconcileContext): Promise<Applied> {
    const { provider, ledger, waiters, fence, metrics, enqueue } = this.#options;
    const { key, plan, wanted } = work;
    let done: Applied = { applied: 0, failures: [], freed: [] };
    if (plan.steps.length > 0) {
      this.#announcer.before(work);
      ledger.expected(key, wanted.desired?.members.map(({ ref }) => ref.uid) ?? []);
      done = await applySteps(plan, { provider, context: { signal, log }, fence, metrics });
      for (const waiting of waiters.free(done.freed)) enqueue(waiting);
      if (done.failures.length === 0) this.#announcer.updates(work);
    }
    this.#announcer.remember(work);
    this.#lastGood.remember(key, wanted.desired, work.members);
    return done;
  }

  /** Something may have been let go of that others wait for. Steps that failed let go of nothing. */
  #wakeWaiters(key: LoadBalancerKey): void {
    for (const waiting of this.#options.waiters.others(key)) this.#options.wake(waiting);
  }
}
