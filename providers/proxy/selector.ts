import { Affinity } from './affinity.ts';
import { choose, type Names } from './balancer.ts';
import type { Clock } from './clock.ts';
import { Ejections, type EjectionRules } from './ejections.ts';
import type { ListenerSpec } from './listener-spec.ts';
import type { TargetGroup } from './target-group.ts';
import { targetHost } from './targets.ts';

/** Where to dial. */
export interface Target {
  readonly node: string;
  readonly host: string;
  readonly port: number;
}

/** Chooses targets for one listener, and remembers what became of them. */
export class Selector {
  readonly #clock: Clock;
  readonly #affinity = new Affinity();
  readonly #ejections: Ejections;
  readonly #active = new Map<string, number>();
  #spec: ListenerSpec;
  #group: TargetGroup;
  #turn: number;

  /** `firstTurn` spreads listeners, so that not all of them begin with the same node. */
  constructor(spec: ListenerSpec, group: TargetGroup, rules: EjectionRules, clock: Clock, firstTurn: number) {
    this.#spec = spec;
    this.#group = group;
    this.#clock = clock;
    this.#ejections = new Ejections(rules);
    this.#turn = firstTurn;
  }

  set(spec: ListenerSpec, group: TargetGroup): void {
    this.#spec = spec;
    this.#group = group;
    if (spec.settings.affinityMs === undefined) this.#affinity.clear();
  }

  /** The next target for a client; undefined when there is none that was not tried for it. */
  next(client: string, tried: Names): Target | undefined {
    const { algorithm, affinityMs } = this.#spec.settings;
    const now = this.#clock.now();
    const node = choose({
      algorithm,
      tiers: this.#group.view.tiers(),
      isEjected: (name) => this.#isOut(name, now),
      tried,
      preferred: affinityMs === undefined ? undefined : this.#affinity.nodeOf(client, affinityMs, now),
      turn: this.#turn++,
      active: (name) => this.#active.get(name) ?? 0,
    });
    const host = node && targetHost(node.node, this.#spec.family);
    if (!node || host === undefined) return undefined;
    if (affinityMs !== undefined) this.#affinity.remember(client, node.name, now);
    return { node: node.name, host, port: this.#spec.nodePort };
  }

  /** Whether its node still is a target, with the same address. */
  hasNode({ node, host }: Target): boolean {
    const viewed = this.#group.view.get(node);
    return viewed !== undefined && targetHost(viewed.node, this.#spec.family) === host;
  }

  /**
   * Whether what flows to this target may go on: it still is one, and is not unhealthy while others are better, those
   * aside that are passed over.
   */
  isStillGood(target: Target, passedOver: Names): boolean {
    const view = this.#group.view;
    const viewed = view.get(target.node);
    if (!viewed || target.port !== this.#spec.nodePort || !this.hasNode(target)) return false;
    if (viewed.watched?.health !== 'unhealthy') return true;
    const { healthy, unchecked } = view.tiers();
    return [...healthy, ...unchecked].every(({ name }) => passedOver.has(name));
  }

  opened(node: string): void {
    this.#active.set(node, (this.#active.get(node) ?? 0) + 1);
  }

  closed(node: string): void {
    const left = (this.#active.get(node) ?? 1) - 1;
    if (left > 0) this.#active.set(node, left);
    else this.#active.delete(node);
  }

  reached(node: string): void {
    this.#ejections.succeeded(node);
  }

  failed(node: string): void {
    // The node itself may have gone: ask it now, for the sake of every other listener.
    if (this.#ejections.failed(node, this.#clock.now())) this.#group.view.recheck(node);
  }

  /** Forgets what it knows of nodes that are no longer targets, and of those that left and came with another address. */
  forget(left: readonly string[]): void {
    const { view } = this.#group;
    const moved = left.filter((node) => view.has(node));
    for (const node of moved) this.#ejections.forget(node);
    this.#affinity.forget(new Set(moved));
    this.#ejections.keep(view);
  }

  #isOut(node: string, now: number): boolean {
    return this.#ejections.isOut(node, now, this.#group.view.get(node)?.watched?.passedAt);
  }
}
