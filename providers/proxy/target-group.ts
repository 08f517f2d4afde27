import type { NodeView, NodeViews } from './node-view.ts';
import { pairMemo } from './pair-memo.ts';
import { sameAddresses, type ObservedTargets, type Targets } from './targets.ts';

/**
 * Which nodes went and came when targets were set; both sorted as the nodes are. One that has other addresses than
 * before is another node: it went and came.
 */
export interface TargetsChange {
  readonly left: readonly string[];
  readonly joined: readonly string[];
}

/** The targets of one member. Its listeners all choose from them. */
export class TargetGroup {
  readonly member: string;
  readonly #views: NodeViews;
  #targets: Targets;
  #held: ReturnType<NodeViews['acquire']>;

  constructor(member: string, targets: Targets, views: NodeViews) {
    this.member = member;
    this.#views = views;
    this.#targets = targets;
    this.#held = views.acquire(targets);
  }

  get view(): NodeView {
    return this.#held.view;
  }

  set(targets: Targets): TargetsChange {
    const before = this.#held;
    // The new view first: nodes that are in both keep their health.
    this.#held = this.#views.acquire(targets);
    this.#targets = targets;
    if (targets.policy === 'Local') this.#recheck(before.view);
    const change = changeOf(before.view, this.view);
    before.release();
    return change;
  }

  /** With `Local`, an endpoint that moved changes the answer of nodes that stay; new ones are asked anyway. */
  #recheck(before: NodeView): void {
    for (const name of this.view.names) if (before.has(name)) this.view.recheck(name);
  }

  observe(): ObservedTargets {
    const { policy, healthCheckNodePort, nodes, endpointNodes } = this.#targets;
    return {
      member: this.member,
      policy,
      healthCheckNodePort,
      nodesVersion: nodes.version,
      endpointNodes,
      usable: this.view.names,
      usableAddresses: this.view.addresses,
      health: this.view.health(),
    };
  }

  close(): void {
    this.#held.release();
  }
}

/** What changes for those who used the one view and now use the other. */
export const changeOf: (before: NodeView, after: NodeView) => TargetsChange = pairMemo((before, after) =>
  before === after ? { left: [], joined: [] } : { left: lacking(before, after), joined: lacking(after, before) },
);

/** Names of the nodes of the one view that the other does not have as they are. */
function lacking(view: NodeView, other: NodeView): readonly string[] {
  return view.nodes.flatMap(({ name, node }) => {
    const found = other.get(name);
    return found && sameAddresses(found.node.addresses, node.addresses) ? [] : [name];
  });
}
