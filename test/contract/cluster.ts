/** Plays the controller's part towards a provider: what is desired, what was published, and one pass for one load balancer. */
import { isDeepStrictEqual } from 'node:util';
import { Registry } from 'prom-client';
import { expect } from 'vitest';
import { BallastError, ERRORS, isAbort } from '#src/errors';
import { keyOf, parseKey } from '#src/loadbalancer/identity';
import { listenerKey, type DesiredLoadBalancer, type Listener, type LoadBalancerId } from '#src/loadbalancer/model';
import type { LoadBalancerStatus, Plan, PlanStep, Provider, ApplyContext } from '#src/loadbalancer/provider';
import { applySteps } from '#src/service/apply';
import { registerServiceMetrics } from '#src/service/metrics';
import { deepFreeze } from '../fakes/builders.ts';
import { silentLog } from '../fakes/log.ts';
import type { Harness } from './harness.ts';

const METRICS = registerServiceMetrics(new Registry());

/** One look at a load balancer. */
export interface Look {
  readonly desired: DesiredLoadBalancer | undefined;
  readonly observed: unknown;
  readonly plan: Plan;
}

export function context(signal: AbortSignal = new AbortController().signal): ApplyContext {
  return { signal, log: silentLog, fence: () => {} };
}

/**
 * Waits long enough for anything that is prompt on a busy machine; a provider that hangs fails here and not at the
 * time-out of the suite.
 */
const PROMPT_MS = 10_000;

export class Cluster {
  readonly harness: Harness;
  readonly desired: Map<string, DesiredLoadBalancer> = new Map();
  readonly #published: Map<string, readonly string[]> = new Map();

  constructor(harness: Harness) {
    this.harness = harness;
    this.provider.restore([]);
  }

  get provider(): Provider {
    return this.harness.provider;
  }

  /** Addresses in the status of this load balancer's Services. */
  addresses(id: LoadBalancerId): readonly string[] {
    return this.#published.get(keyOf(id)) ?? [];
  }

  /** Wants this state, and brings it about. */
  async set(desired: DesiredLoadBalancer): Promise<Look> {
    this.want(desired);
    return this.reconcile(desired.id);
  }

  /** Wants nothing of it any more, and brings that about. */
  async remove(id: LoadBalancerId): Promise<void> {
    this.want(undefined, id);
    await this.reconcile(id);
  }

  want(desired: DesiredLoadBalancer): void;
  want(desired: undefined, id: LoadBalancerId): void;
  want(desired: DesiredLoadBalancer | undefined, id?: LoadBalancerId): void {
    if (desired) this.desired.set(keyOf(desired.id), desired);
    else if (id) this.desired.delete(keyOf(id));
  }

  /** Observes and plans, and checks that planning neither changes its arguments nor depends on anything else. */
  async look(id: LoadBalancerId, provider: Provider = this.provider): Promise<Look> {
    const wanted = this.desired.get(keyOf(id));
    const desired = wanted && deepFreeze({ ...wanted, publishedAddresses: [...this.addresses(id)] });
    const observed = structuredClone(await provider.observe(id, context()));
    const before = structuredClone(observed);
    const plan = provider.plan(desired, deepFreeze(observed));
    same(observed, before, 'what was observed, after planning');
    same(provider.plan(desired, before), plan, 'the same plan from equal arguments');
    checkPlan(plan, desired);
    return { desired, observed, plan };
  }

  /** One pass: look, apply every step, look again, publish. The second look must find nothing to do. */
  async reconcile(id: LoadBalancerId): Promise<Look> {
    await this.#pass(id);
    return this.converged(id);
  }

  /** Returns how many steps there were. */
  async #pass(id: LoadBalancerId): Promise<number> {
    const { plan } = await this.look(id);
    for (const step of plan.steps) await this.provider.apply(structuredClone(step), context());
    await this.converged(id);
    return plan.steps.length;
  }

  /** Checks that nothing is left to do and publishes the status. */
  async converged(id: LoadBalancerId): Promise<Look> {
    const look = await this.look(id);
    same(summaries(look.plan), [], `steps of ${keyOf(id)} that are left after the plan was applied`);
    this.publish(id, look);
    return look;
  }

  publish(id: LoadBalancerId, { desired, observed }: Look): void {
    if (desired) this.#published.set(keyOf(id), addressesOf(this.provider.status(desired, observed)));
    else this.#published.delete(keyOf(id));
  }

  /**
   * Applies the steps before `index`, then begins step `index` and interrupts it. Returns false when the plan has no
   * such step, so that a caller can go through all of them.
   */
  async interrupt(id: LoadBalancerId, index: number, moment: Moment): Promise<boolean> {
    const { plan } = await this.look(id);
    const step = plan.steps[index];
    if (!step) return false;
    for (const earlier of plan.steps.slice(0, index)) await this.provider.apply(earlier, context());
    await applyInterrupted(this.provider, step, moment);
    return true;
  }

  /**
   * Applies the plan as the controller does while step `index` fails before it has any effect, and returns the ports
   * that clients can no longer connect to, at any address that the load balancer has, though they could before and are
   * still wanted. Returns undefined when the plan has no such step.
   */
  async failing(id: LoadBalancerId, index: number): Promise<readonly string[] | undefined> {
    const { desired, plan } = await this.look(id);
    const failed = plan.steps[index];
    if (!failed) return undefined;
    const wanted = (desired?.members ?? []).flatMap(({ listeners }) => listeners.map(listenerKey));
    const before = await this.#served(id);
    const provider = new Proxy(this.provider, {
      get: (target, name) =>
        name === 'apply'
          ? async (step: PlanStep): Promise<void> => {
              if (step === failed) throw new BallastError('ListenFailed', `failed on purpose: ${step.summary}`);
              await target.apply(structuredClone(step), context());
            }
          : Reflect.get(target, name, target),
    });
    await applySteps(plan, { provider, context: context(), fence: () => {}, metrics: METRICS });
    this.publish(id, await this.look(id));
    const after = await this.#served(id);
    return before.filter((port) => wanted.includes(port) && !after.includes(port));
  }

  /** `80/TCP` of everything that clients can reach at the published addresses. */
  async #served(id: LoadBalancerId): Promise<readonly string[]> {
    const hosts = this.addresses(id).map((address) => (address.includes(':') ? `[${address}]:` : `${address}:`));
    const reachable = await this.harness.reachable();
    return reachable.flatMap((each) => {
      const host = hosts.find((prefix) => each.startsWith(prefix));
      return host === undefined ? [] : [each.slice(host.length)];
    });
  }

  /** The process ends and another starts; it is told what the Services' status shows. */
  async restart(): Promise<void> {
    await this.harness.restart();
    this.provider.restore(
      [...this.#published].map(([key, addresses]) => ({ id: parseKey(key), addresses: [...addresses] })),
    );
  }

  /**
   * Reconciles everything that is desired or that exists, as after a start, round by round until a round finds nothing
   * to do: what one load balancer lets go of, another may have waited for.
   */
  async settle(): Promise<void> {
    const existing = await this.provider.inventory(context());
    const keys = new Set([...this.desired.keys(), ...existing.map((entry) => keyOf(entry.id))]);
    for (let rounds = 0, steps = 1; steps > 0; rounds += 1) {
      if (rounds > keys.size + 1) throw new Error(`after ${rounds} rounds there are still ${steps} steps to apply`);
      steps = 0;
      for (const key of keys) steps += await this.#pass(parseKey(key));
    }
  }

  /** Checks that the world is exactly as desired: nothing missing, nothing doubled, nothing left over. */
  async verify(): Promise<void> {
    const expected: string[] = [];
    const holders = new Map<string, readonly string[]>();
    for (const [key, { id }] of this.desired) {
      const { desired, observed, plan } = await this.converged(id);
      if (!desired) continue;
      const status = this.provider.status(desired, observed);
      const served = servedListeners(desired, plan);
      expected.push(...reachableOf(status, desired, served));
      checkStatus(status, desired, served);
      const holding = this.provider.holders(observed);
      const members = new Set(served.map((listener) => listener.member));
      same(holding.toSorted(), [...members].toSorted(), `holders of ${key}`);
      if (members.size > 0) holders.set(key, holding);
    }
    same(doubles(expected), [], 'addresses and ports that two load balancers share');
    same((await this.harness.reachable()).toSorted(), expected.toSorted(), 'what clients can reach');
    const inventory = await this.provider.inventory(context());
    same(
      inventory.map((entry) => `${keyOf(entry.id)} held by ${entry.members.toSorted().join(', ')}`).toSorted(),
      [...holders].map(([key, members]) => `${key} held by ${members.toSorted().join(', ')}`).toSorted(),
      'the inventory, against the holders of each load balancer',
    );
    if (this.desired.size === 0) same(await this.harness.leftovers(), [], 'what is left at the end');
  }
}

/** When a step is interrupted: before it begins, as soon as it has begun, or one turn of the event loop later. */
export type Moment = 'before' | 'at once' | 'soon';
export const MOMENTS: readonly Moment[] = ['before', 'at once', 'soon'];

/** Applies a step under a signal that aborts; it must settle promptly, as done or as aborted. */
export async function applyInterrupted(provider: Provider, step: PlanStep, moment: Moment): Promise<void> {
  const abort = new AbortController();
  if (moment === 'before') abort.abort();
  const applying = settled(provider.apply(step, context(abort.signal)));
  if (moment === 'soon') await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  const outcome = await within(applying, `apply of "${step.summary}" after its signal was aborted`);
  if (outcome.status === 'rejected' && !isAbort(outcome.reason)) expect(outcome.reason).toBeInstanceOf(BallastError);
}

async function settled(promise: Promise<unknown>): Promise<PromiseSettledResult<unknown>> {
  const [outcome] = await Promise.allSettled([promise]);
  return outcome;
}

/** The value, or a failure that says what did not happen in time. */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not done after ${PROMPT_MS} ms`)), PROMPT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function same(actual: unknown, expected: unknown, what: string): void {
  expect(actual, `compared: ${what}`).toEqual(expected);
}

export function summaries(plan: Plan): readonly string[] {
  return plan.steps.map((step) => `${step.kind}: ${step.summary}`);
}

export function addressesOf(status: LoadBalancerStatus): readonly string[] {
  return status.addresses.map((address) => (address.kind === 'ip' ? address.ip : address.hostname));
}

/** The listeners that the plan does not refuse, by themselves or with their member. */
export function servedListeners(desired: DesiredLoadBalancer, plan: Plan): readonly Listener[] {
  return desired.members
    .flatMap((member) => member.listeners)
    .filter(
      (listener) =>
        !plan.refusals.some(
          (refusal) =>
            refusal.member === listener.member &&
            (refusal.listener === undefined || listenerKey(refusal.listener) === listenerKey(listener)),
        ),
    );
}

/** Where clients must be able to connect: every listener at every address of a family that its member wants. */
function reachableOf(
  status: LoadBalancerStatus,
  desired: DesiredLoadBalancer,
  served: readonly Listener[],
): readonly string[] {
  return served.flatMap((listener) => {
    const owner = desired.members.find((member) => member.ref.uid === listener.member);
    return status.addresses
      .filter((address) => address.kind === 'hostname' || owner?.families.some((w) => w.family === address.family))
      .map((address) => {
        if (address.kind === 'hostname') return `${address.hostname}:${listenerKey(listener)}`;
        const host = address.family === 'IPv6' ? `[${address.ip}]` : address.ip;
        return `${host}:${listenerKey(listener)}`;
      });
  });
}

function doubles(values: readonly string[]): readonly string[] {
  return values.filter((value, index) => values.indexOf(value) !== index);
}

/** A plan is data for people and machines: every step says what it does, every refusal whom it concerns and why. */
function checkPlan(plan: Plan, desired: DesiredLoadBalancer | undefined): void {
  expect(isDeepStrictEqual(structuredClone(plan), plan), 'a plan is plain data').toBe(true);
  for (const [index, step] of plan.steps.entries()) {
    expect(step.kind).toMatch(/^[a-z][A-Za-z-]*$/);
    expect(step.summary).toMatch(/^\S.*\S$/);
    expect(['none', 'drains', 'breaks']).toContain(step.impact);
    const scopes = plan.steps.slice(0, index).map((earlier) => earlier.scope);
    for (const needed of step.needs ?? []) expect(scopes, `scopes before "${step.summary}"`).toContain(needed);
  }
  const members = new Set(desired?.members.map((member) => member.ref.uid));
  const listeners = new Set(
    desired?.members.flatMap((member) => member.listeners.map((each) => `${each.member} ${listenerKey(each)}`)),
  );
  for (const refusal of plan.refusals) {
    expect(members, `the member of the refusal "${refusal.message}"`).toContain(refusal.member);
    expect(Object.keys(ERRORS)).toContain(refusal.code);
    expect(refusal.message).toMatch(/^\S.*\S$/);
    if (refusal.listener) expect(listeners).toContain(`${refusal.member} ${listenerKey(refusal.listener)}`);
  }
}

/** Every served member has a readiness that fits into a condition; the status is a function of its arguments. */
function checkStatus(status: LoadBalancerStatus, desired: DesiredLoadBalancer, served: readonly Listener[]): void {
  const addresses = addressesOf(status);
  expect(doubles(addresses)).toEqual([]);
  if (served.length > 0) expect(addresses, `addresses of ${keyOf(desired.id)}`).not.toEqual([]);
  for (const uid of new Set(served.map((listener) => listener.member))) {
    const readiness = status.readiness.get(uid);
    expect(readiness, `readiness of ${uid}`).toBeDefined();
    expect(readiness?.reason).toMatch(/^[A-Z][A-Za-z]*$/);
    expect(readiness?.message).toMatch(/\S/);
  }
}
