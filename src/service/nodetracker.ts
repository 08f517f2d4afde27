import { isDeepStrictEqual } from 'node:util';
import type { Store, StoreEvent } from '../kube/store.ts';
import type { Node } from '../kube/wire.ts';
import type { NodeSet } from '../loadbalancer/model.ts';
import { buildNodeSet, nodeTarget } from '../loadbalancer/nodes.ts';
import type { Clock } from '../runtime/clock.ts';

/** Nodes come and go in bursts; what happens within this time makes one new set. */
export const NODE_WINDOW_MS = 100;

/**
 * Keeps the NodeSet of the cluster: built once per burst of changes that matter, shared by all load balancers, and
 * announced only when it differs. Heartbeats cost one comparison.
 */
export class NodeTracker {
  readonly #store: Store<Node>;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #unsubscribe: () => void;
  #current: NodeSet | undefined;
  #cancel: (() => void) | undefined;

  constructor(store: Store<Node>, clock: Clock, onChange: () => void) {
    this.#store = store;
    this.#clock = clock;
    this.#onChange = onChange;
    this.#unsubscribe = store.subscribe((event) => this.#take(event));
  }

  /** The set as of the last burst; the first reading builds it. */
  get current(): NodeSet {
    this.#current ??= buildNodeSet(this.#store.list());
    return this.#current;
  }

  stop(): void {
    this.#unsubscribe();
    this.#cancel?.();
  }

  #take(event: StoreEvent<Node>): void {
    if (this.#current === undefined || this.#cancel !== undefined) return;
    const before =
      event.type === 'added' ? undefined : nodeTarget(event.type === 'updated' ? event.previous : event.object);
    const after = event.type === 'deleted' ? undefined : nodeTarget(event.object);
    if (isDeepStrictEqual(before, after)) return;
    this.#cancel = this.#clock.after(NODE_WINDOW_MS, () => this.#rebuild());
  }

  #rebuild(): void {
    this.#cancel = undefined;
    const next = buildNodeSet(this.#store.list());
    if (next.version === this.#current?.version) return;
    this.#current = next;
    this.#onChange();
  }
}
