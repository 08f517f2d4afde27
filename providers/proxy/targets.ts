import { isDeepStrictEqual } from 'node:util';
import type { IpFamily, Member, NodeSet, NodeTarget } from '#src/loadbalancer/model';
import { pairMemo } from './pair-memo.ts';

/** The nodes that a member's traffic may go to, and how their health is asked. */
export interface Targets {
  readonly policy: Member['trafficPolicy'];
  readonly healthCheckNodePort: number | undefined;
  readonly nodes: NodeSet;
  /** Names of the nodes that have an endpoint; undefined where that does not matter. */
  readonly endpointNodes: readonly string[] | undefined;
}

export function targetsOf(member: Member, nodes: NodeSet): Targets {
  const { trafficPolicy: policy, healthCheckNodePort, endpointNodes } = member;
  return policy === 'Local'
    ? { policy, healthCheckNodePort, nodes, endpointNodes }
    : { policy, healthCheckNodePort: undefined, nodes, endpointNodes: undefined };
}

/** The nodes that may be used: with `Local` those that have an endpoint, as far as that is known. */
export function usableNodes({ nodes, endpointNodes }: Targets): readonly NodeTarget[] {
  const reachable = reachableNodes(nodes);
  if (endpointNodes === undefined) return reachable;
  const local = new Set(endpointNodes);
  return reachable.filter((node) => local.has(node.name));
}

const reachable = new WeakMap<NodeSet, readonly NodeTarget[]>();

/** The same array for the same set, so that what follows from it need not be computed for each load balancer. */
function reachableNodes(nodes: NodeSet): readonly NodeTarget[] {
  let found = reachable.get(nodes);
  if (!found) reachable.set(nodes, (found = nodes.nodes.filter((node) => targetHost(node, 'IPv4') !== undefined)));
  return found;
}

/**
 * The node's address to dial for a client that came in over `family`: one of the same family where the node has it,
 * otherwise its other one. A proxy ends the client's connection, so it may change the family.
 */
export function targetHost(node: NodeTarget, family: IpFamily): string | undefined {
  return node.addresses[family] ?? node.addresses[family === 'IPv4' ? 'IPv6' : 'IPv4'];
}

export function sameAddresses(a: NodeTarget['addresses'], b: NodeTarget['addresses']): boolean {
  return a.IPv4 === b.IPv4 && a.IPv6 === b.IPv6;
}

/** What can be seen of a member's targets. */
export interface ObservedTargets {
  /** UID. */
  readonly member: string;
  readonly policy: Targets['policy'];
  readonly healthCheckNodePort: number | undefined;
  /** Version of the NodeSet. */
  readonly nodesVersion: string;
  readonly endpointNodes: readonly string[] | undefined;
  /** Names of the usable nodes. */
  readonly usable: readonly string[];
  /** The addresses of each, in the same order. */
  readonly usableAddresses: readonly NodeTarget['addresses'][];
  readonly health: TargetsHealth;
}

/** Names of nodes that come, go, or stay with other addresses. */
export interface NodesChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly moved: readonly string[];
}

/** What becomes of the usable nodes when these targets are set. */
export function nodesChange(before: ObservedTargets, targets: Targets): NodesChange {
  return changeBetween(nodesSeen(before.usable, before.usableAddresses), usableNodes(targets));
}

const nodesSeen = pairMemo(
  (
    names: readonly string[],
    addresses: readonly NodeTarget['addresses'][],
  ): ReadonlyMap<string, NodeTarget['addresses']> =>
    new Map(names.map((name, index) => [name, addresses[index] ?? {}])),
);

const changeBetween = pairMemo(
  (before: ReadonlyMap<string, NodeTarget['addresses']>, now: readonly NodeTarget[]): NodesChange => {
    const names = new Set(now.map(({ name }) => name));
    const moved = now.filter(({ name, addresses }) => !sameAddresses(before.get(name) ?? addresses, addresses));
    return {
      added: [...names].filter((name) => !before.has(name)),
      removed: [...before.keys()].filter((name) => !names.has(name)),
      moved: moved.map(({ name }) => name),
    };
  },
);

/** The best that is known of any usable node: one is healthy; none is but some were not asked yet; none is. */
export type TargetsHealth = 'healthy' | 'unchecked' | 'unhealthy' | 'none';

export function sameTargets(targets: Targets, observed: ObservedTargets): boolean {
  return (
    targets.policy === observed.policy &&
    targets.healthCheckNodePort === observed.healthCheckNodePort &&
    targets.nodes.version === observed.nodesVersion &&
    isDeepStrictEqual(targets.endpointNodes, observed.endpointNodes)
  );
}
