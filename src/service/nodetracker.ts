import { isDeepStrictEqual } from 'node:util';
import type { Store, StoreEvent } from '../kube/store.ts';
import type { Node } from '../kube/wire.ts';
import type { IpRange } from '../loadbalancer/ip-range.ts';
import type { NodeSet, NodeTarget } from '../loadbalancer/model.ts';
import { firstSight, judgeNodes } from '../loadbalancer/nodeguard.ts';
import type { Hold, HoldChange, NodeGuardRules, NodeGuardState } from '../loadbalancer/nodeguard.ts';
import { buildNodeSet, declinedNodes, nodeTarget } from '../loadbalancer/nodes.ts';
import type { Clock } from '../runtime/clock.ts';

/** Nodes come and go in bursts; what happens within this time makes one new set. */
export const NODE_WINDOW_MS = 100;

export interface NodeTrackerOptions {
  readonly store: Store<Node>;
  readonly clock: Clock;
  readonly guard: NodeGuardRules;
  /** The only ranges that nodes are in; none for every address but special ones. */
  readonly nodeAddresses: readonly IpRange[];
  /** The set differs. */
  readonly onChange: () => void;
  /** Vanished nodes are kept from now on, or no longer: `hold` are those that are, or were. */
  readonly onHold: (change: Exclude<HoldChange, 'none'>, hold: Hold) => void;
}

/**
 * Keeps the NodeSet of the cluster: built once per burst of changes that matter, shared by all load balancers, and
 * announced only when it differs. Heartbeats cost one comparison. Nodes that vanish are not always believed to be gone
 * (`loadbalancer/nodeguard.ts`).
 */
export class NodeTracker {
  readonly #options: NodeTrackerOptions;
  readonly #unsubscribe: () => void;
  #state: NodeGuardState | undefined;
  #cancelBurst: (() => void) | undefined;
  #cancelHold: () => void = () => {};

  constructor(options: NodeTrackerOptions) {
    this.#options = options;
    this.#unsubscribe = options.store.subscribe((event) => this.#take(event));
  }

  /** The set as of the last burst; the first reading builds it. */
  get current(): NodeSet {
    this.#state ??= firstSight(buildNodeSet(this.#options.store.list(), this.#options.nodeAddresses));
    return this.#state.nodes;
  }

  /** The vanished nodes that are in the set all the same; undefined when there is none. */
  get hold(): Hold | undefined {
    return this.#state?.hold;
  }

  stop(): void {
    this.#unsubscribe();
    this.#cancelBurst?.();
    this.#cancelHold();
  }

  #take(event: StoreEvent<Node>): void {
    if (this.#cancelBurst !== undefined) return;
    const before =
      event.type === 'added' ? undefined : this.#target(event.type === 'updated' ? event.previous : event.object);
    const after = event.type === 'deleted' ? undefined : this.#target(event.object);
    if (isDeepStrictEqual(before, after)) return;
    this.#cancelBurst = this.#options.clock.after(NODE_WINDOW_MS, () => this.#rebuild());
  }

  #target(node: Node): NodeTarget | undefined {
    return nodeTarget(node, this.#options.nodeAddresses);
  }

  #rebuild(): void {
    const { store, clock, guard, nodeAddresses, onChange, onHold } = this.#options;
    this.#cancelBurst?.();
    this.#cancelBurst = undefined;
    this.#cancelHold();
    const nodes = store.list();
    const seen = { eligible: buildNodeSet(nodes, nodeAddresses), declined: declinedNodes(nodes) };
    const before = this.#state;
    if (before === undefined) {
      this.#state = firstSight(seen.eligible);
      return onChange();
    }
    const { state, change } = judgeNodes(before, seen, clock.now(), guard);
    const differs = state.nodes.version !== before.nodes.version;
    this.#state = differs ? state : { ...state, nodes: before.nodes };
    if (state.hold) {
      // At least a millisecond: a timer may come a little before its time.
      const ms = Math.max(1, state.hold.endsAtMs - clock.now());
      this.#cancelHold = clock.after(ms, () => this.#rebuild());
    }
    const hold = state.hold ?? before.hold;
    if (change !== 'none' && hold) onHold(change, hold);
    if (differs) onChange();
  }
}
