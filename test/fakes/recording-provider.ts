/**
 * A provider whose load balancers exist in memory. It holds the provider contract, records what is done to it, and
 * can be made to fail, to wait or to die at any step.
 */
import { isDeepStrictEqual } from 'node:util';
import { BallastError } from '#src/errors';
import { keyOf, memberName } from '#src/loadbalancer/identity';
import { parseIp } from '#src/loadbalancer/ip';
import {
  listenerKey,
  type DesiredLoadBalancer,
  type IpFamily,
  type LoadBalancerId,
  type Member,
  type Refusal,
} from '#src/loadbalancer/model';
import type {
  Address,
  Capabilities,
  InventoryEntry,
  LoadBalancerStatus,
  Plan,
  PlanStep,
  Provider,
  ApplyContext,
  ProviderContext,
  PublishedLoadBalancer,
} from '#src/loadbalancer/provider';
import { untilAborted } from '#src/runtime/wait';
import { RecordingWorld, type WorldAddress, type WorldListener, type WorldLoadBalancer } from './recording-world.ts';

export type RecordingStep = PlanStep & { readonly id: LoadBalancerId } & (
    | { readonly kind: 'take-address'; readonly address: WorldAddress }
    | { readonly kind: 'give-address-back'; readonly address: string }
    | { readonly kind: 'put-listener'; readonly content: WorldListener }
    | { readonly kind: 'remove-listener' }
  );

export interface RecordingObserved {
  readonly id: LoadBalancerId;
  readonly balancer: WorldLoadBalancer | undefined;
  /** Every address that the provider has, in order, and whose it is: nobody's, this load balancer's, another's. */
  readonly pool: readonly { readonly address: string; readonly family: IpFamily; readonly owner: string | undefined }[];
}

export interface RecordingOptions {
  readonly name?: string;
  readonly loadBalancerClass?: string;
  readonly capabilities?: Partial<Capabilities>;
  /** The addresses to give, of both families; 192.0.2.1 to .16 and 2001:db8::1 to ::10 by default. */
  readonly pool?: readonly string[];
  /** The world it works in; a new one by default. */
  readonly world?: RecordingWorld;
}

/** What happens around a step; throws or waits to make the step fail or hang. `count` counts all steps from 1. */
export type StepHook = (step: RecordingStep, count: number) => void | Promise<void>;

const POOL = Array.from({ length: 16 }, (_, index) => [
  `192.0.2.${index + 1}`,
  `2001:db8::${(index + 1).toString(16)}`,
]);

export class RecordingProvider implements Provider<RecordingObserved, RecordingStep> {
  readonly name: string;
  readonly loadBalancerClass: string;
  readonly capabilities: Capabilities;
  readonly world: RecordingWorld;
  /** Every call that could matter, in order: `restore`, `observe <key>`, `apply <summary>`, `inventory`. */
  readonly calls: string[] = [];
  /** What `restore` was told, once it was called. */
  restored: readonly PublishedLoadBalancer[] | undefined;
  /** Runs before a step has any effect. */
  beforeStep: StepHook = () => {};
  /** Runs after a step has had its effect; what it throws is a lost answer. */
  afterStep: StepHook = () => {};
  /** Runs before the world is read; what it throws is what `observe` and `inventory` throw. */
  beforeLook: (call: string) => void | Promise<void> = () => {};
  readonly #pool: RecordingObserved['pool'];
  readonly #reserved = new Map<string, string>();
  readonly #listeners: ((id: LoadBalancerId) => void)[] = [];
  #steps = 0;

  constructor(options: RecordingOptions = {}) {
    this.name = options.name ?? 'recording';
    this.loadBalancerClass = options.loadBalancerClass ?? `ballast.dev/${this.name}`;
    this.world = options.world ?? new RecordingWorld();
    this.capabilities = {
      needsNodePorts: true,
      protocols: ['TCP', 'UDP'],
      ipMode: 'VIP',
      sharing: true,
      maxListeners: 50,
      settings: ['algorithm', 'proxyProtocol', 'idleTimeoutSeconds', 'maxConnections', 'drainTimeoutSeconds'],
      inProcess: false,
      seenFromOutside: true,
      ...options.capabilities,
    };
    this.#pool = (options.pool ?? POOL.flat()).map((text) => {
      const ip = parseIp(text);
      if (ip === undefined) throw new TypeError(`not an address: ${text}`);
      return { address: ip.text, family: ip.family, owner: undefined };
    });
  }

  /** The calls of `apply`, without the word. */
  get applied(): readonly string[] {
    return this.calls.flatMap((call) => (call.startsWith('apply ') ? call.slice('apply '.length) : []));
  }

  /** Tells the controller that something changed by itself. */
  change(id: LoadBalancerId): void {
    for (const listener of this.#listeners) listener(id);
  }

  restore(published: readonly PublishedLoadBalancer[]): void {
    this.calls.push('restore');
    this.restored = published;
    for (const { id, addresses } of published) {
      for (const address of addresses) this.#reserved.set(address, keyOf(id));
    }
  }

  async observe(id: LoadBalancerId, { signal }: ProviderContext): Promise<RecordingObserved> {
    signal.throwIfAborted();
    this.calls.push(`observe ${keyOf(id)}`);
    await this.beforeLook('observe');
    const pool = this.#pool.map(({ address, family }) => {
      const owner = this.world.ownerOf(address);
      return { address, family, owner: owner ? keyOf(owner) : this.#reserved.get(address) };
    });
    return { id, balancer: this.world.get(id), pool };
  }

  plan(desired: DesiredLoadBalancer | undefined, observed: RecordingObserved): Plan<RecordingStep> {
    return desired ? planDesired(desired, observed) : { steps: planNothing(observed), refusals: [] };
  }

  async apply(step: RecordingStep, { signal }: ApplyContext): Promise<void> {
    signal.throwIfAborted();
    const count = ++this.#steps;
    await this.beforeStep(step, count);
    signal.throwIfAborted();
    this.calls.push(`apply ${step.summary}`);
    this.#change(step);
    await this.afterStep(step, count);
  }

  status(desired: DesiredLoadBalancer, { balancer }: RecordingObserved): LoadBalancerStatus {
    const addresses = (balancer?.addresses ?? []).map(({ address, family }): Address => ({
      kind: 'ip',
      ip: address,
      family,
    }));
    const readiness = desired.members.map(({ ref }) => {
      const targets = (balancer?.listeners ?? []).filter(({ listener }) => listener.member === ref.uid);
      const ready = targets.some((each) => each.targets.length > 0);
      return [
        ref.uid,
        ready
          ? { ready, reason: 'HasTargets', message: 'Traffic arrives.' }
          : { ready, reason: 'NoTargets', message: 'No node has the Service.' },
      ] as const;
    });
    return { addresses, readiness: new Map(readiness) };
  }

  holders({ balancer }: RecordingObserved): readonly string[] {
    return balancer ? membersOf(balancer) : [];
  }

  async inventory({ signal }: ProviderContext): Promise<readonly InventoryEntry[]> {
    signal.throwIfAborted();
    this.calls.push('inventory');
    await this.beforeLook('inventory');
    return this.world.list().map((balancer) => ({ id: balancer.id, members: membersOf(balancer) }));
  }

  onChange(listener: (id: LoadBalancerId) => void): void {
    this.#listeners.push(listener);
  }

  run(signal: AbortSignal): Promise<void> {
    return untilAborted(signal);
  }

  #change(step: RecordingStep): void {
    const { world } = this;
    switch (step.kind) {
      case 'take-address': {
        const { address } = step.address;
        const owner = world.ownerOf(address);
        if (owner && keyOf(owner) !== keyOf(step.id)) {
          throw new BallastError('ClaimLost', `${address} belongs to ${keyOf(owner)} meanwhile`);
        }
        this.#reserved.delete(address);
        world.change(step.id, ({ addresses }) => ({
          addresses: [...addresses.filter((each) => each.address !== address), step.address],
        }));
        return;
      }
      case 'give-address-back':
        this.#reserved.delete(step.address);
        if (world.get(step.id)) {
          world.change(step.id, ({ addresses }) => ({
            addresses: addresses.filter(({ address }) => address !== step.address),
          }));
        }
        return;
      case 'put-listener':
        world.change(step.id, ({ listeners }) => ({
          listeners: [...listeners.filter((each) => keyOfListener(each) !== keyOfListener(step.content)), step.content],
        }));
        return;
      case 'remove-listener': {
        const { listener } = step;
        if (listener === undefined || !world.get(step.id)) return;
        world.change(step.id, ({ listeners }) => ({
          listeners: listeners.filter((each) => keyOfListener(each) !== listenerKey(listener)),
        }));
      }
    }
  }
}

function keyOfListener({ listener }: WorldListener): string {
  return listenerKey(listener);
}

/** Whoever has a listener; while there is none, those for whom the addresses were taken. */
function membersOf({ addresses, listeners }: WorldLoadBalancer): readonly string[] {
  const owners = listeners.map(({ listener }) => listener.member);
  return [...new Set(owners.length > 0 ? owners : addresses.flatMap(({ members }) => members))];
}

function planNothing({ id, balancer, pool }: RecordingObserved): readonly RecordingStep[] {
  const mine = pool.filter(({ owner }) => owner === keyOf(id)).map(({ address }) => address);
  return [
    ...(balancer?.listeners ?? []).map((each) => removeListener(id, each)),
    ...mine.map((address) => giveBack(id, address)),
  ];
}

function planDesired(desired: DesiredLoadBalancer, observed: RecordingObserved): Plan<RecordingStep> {
  const { id } = desired;
  const choice = chooseAddresses(desired, observed);
  const served = desired.members.filter(({ ref }) => !choice.refusals.some(({ member }) => member === ref.uid));
  if (served.length === 0) return { steps: planNothing(observed), refusals: choice.refusals };
  const { addresses = [], listeners = [] } = observed.balancer ?? {};
  const wanted = served.flatMap((member) => listenersOf(member, desired));
  const members = served.map(({ ref }) => ref.uid);
  const owned = observed.pool.filter(({ owner }) => owner === keyOf(id)).map(({ address }) => address);
  const steps: RecordingStep[] = [
    ...choice.addresses
      .filter(({ address }) => !addresses.some((each) => each.address === address))
      .map((each) => takeAddress(id, { ...each, members })),
    ...listeners
      .filter((each) => !wanted.some((other) => keyOfListener(other) === keyOfListener(each)))
      .map((each) => removeListener(id, each)),
    ...wanted
      .filter((each) => !listeners.some((other) => isDeepStrictEqual(other, each)))
      .map((each) => putListener(id, each)),
    ...owned
      .filter((address) => !choice.addresses.some((each) => each.address === address))
      .map((address) => giveBack(id, address)),
  ];
  return { steps, refusals: choice.refusals };
}

function listenersOf(member: Member, { nodes }: DesiredLoadBalancer): readonly WorldListener[] {
  const { trafficPolicy, healthCheckNodePort, affinitySeconds, sourceRanges, settings, endpointNodes } = member;
  const eligible = nodes.nodes.filter(({ name }) => endpointNodes === undefined || endpointNodes.includes(name));
  return member.listeners.map((listener) => ({
    listener,
    config: { trafficPolicy, healthCheckNodePort, affinitySeconds, sourceRanges, settings: { ...settings } },
    families: member.families.map(({ family }) => family),
    targets: eligible.flatMap(({ addresses }) => Object.values(addresses).map((ip) => `${ip}:${listener.nodePort}`)),
  }));
}

export interface Choice {
  readonly addresses: readonly { readonly address: string; readonly family: IpFamily }[];
  readonly refusals: readonly Refusal[];
}

/**
 * For each family: the requested address, else the one it has, else the one that was published, else the next free. A
 * request that cannot be met costs those who make it.
 */
export function chooseAddresses(
  desired: DesiredLoadBalancer,
  { balancer, pool }: Pick<RecordingObserved, 'pool'> & { readonly balancer: Pick<Choice, 'addresses'> | undefined },
): Choice {
  const key = keyOf(desired.id);
  const addresses: { address: string; family: IpFamily }[] = [];
  const refusals: Refusal[] = [];
  const refuse = (code: Refusal['code'], message: string, waitsFor: string, members: readonly Member[]): void => {
    for (const member of members) refusals.push({ member: member.ref.uid, code, message, waitsFor: [waitsFor] });
  };
  for (const family of ['IPv4', 'IPv6'] as const) {
    const wanting = desired.members.filter(({ families }) => families.some((each) => each.family === family));
    const isFree = (address: string | undefined): boolean =>
      pool.some((each) => each.address === address && (each.owner === undefined || each.owner === key));
    let requested = desired.requestedAddresses.find((each) => parseIp(each)?.family === family);
    const asking = wanting.filter(
      (each) => each.requestedAddresses?.includes(requested ?? '') ?? requested !== undefined,
    );
    if (requested !== undefined && !isFree(requested)) {
      const known = pool.some(({ address }) => address === requested);
      const [code, why] = known
        ? (['AddressInUse', 'belongs to another load balancer'] as const)
        : (['AddressNotInPool', 'is none of the addresses to give'] as const);
      refuse(code, `${requested} ${why}; ask for another or none.`, requested, asking);
      requested = undefined;
    }
    const left = wanting.filter(({ ref }) => !refusals.some(({ member }) => member === ref.uid));
    if (left.length === 0) continue;
    const has = balancer?.addresses.find((each) => each.family === family)?.address;
    const published = desired.publishedAddresses.find((each) => parseIp(each)?.family === family && isFree(each));
    const next = pool.find((each) => each.family === family && isFree(each.address))?.address;
    const address = requested ?? has ?? published ?? next;
    if (address !== undefined) addresses.push({ address, family });
    else {
      const needing = left.filter(({ families }) => families.some((each) => each.family === family && each.required));
      refuse(
        'AddressPoolExhausted',
        `No ${family} address is free; delete a Service or add addresses.`,
        family,
        needing,
      );
    }
  }
  return { addresses, refusals };
}

function takeAddress(id: LoadBalancerId, address: WorldAddress): RecordingStep {
  const summary = `take ${address.address} for ${memberName(id)}`;
  return { kind: 'take-address', id, address, summary, impact: 'none' };
}

function giveBack(id: LoadBalancerId, address: string): RecordingStep {
  const summary = `give ${address} of ${memberName(id)} back`;
  const frees = [address, parseIp(address)?.family ?? ''];
  return { kind: 'give-address-back', id, address, summary, impact: 'breaks', frees };
}

function putListener(id: LoadBalancerId, content: WorldListener): RecordingStep {
  const { port, protocol } = content.listener;
  const scope = keyOfListener(content);
  const summary = `put ${scope} of ${memberName(id)}`;
  return { kind: 'put-listener', id, content, listener: { port, protocol }, scope, summary, impact: 'none' };
}

function removeListener(id: LoadBalancerId, { listener }: WorldListener): RecordingStep {
  const { port, protocol } = listener;
  const scope = listenerKey(listener);
  const summary = `remove ${scope} of ${memberName(id)}`;
  return { kind: 'remove-listener', id, listener: { port, protocol }, scope, summary, impact: 'drains' };
}
