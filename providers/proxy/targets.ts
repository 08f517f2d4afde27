import { isDeepStrictEqual } from 'node:util';
import type { IpFamily, Member, NodeSet, NodeTarget } from '#src/loadbalancer/model';

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
  const reachable = nodes.nodes.filter((node) => targetHost(node, 'IPv4') !== undefined);
  if (endpointNodes === undefined) return reachable;
  const local = new Set(endpointNodes);
  return reachable.filter((node) => local.has(node.name));
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
