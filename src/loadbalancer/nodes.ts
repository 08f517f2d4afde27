/**
 * Which nodes may receive traffic, by the stable set of KEP-3458. Readiness, cordon and a missing provider id do not
 * exclude a node: the load balancer's own health check decides from moment to moment, so that flapping nodes change
 * no configuration.
 */
import { createHash } from 'node:crypto';
import type { Node } from '../kube/wire.ts';
import { parseIp } from './ip.ts';
import type { IpRange } from './ip-range.ts';
import type { IpFamily, NodeSet, NodeTarget } from './model.ts';
import { nodeAddressProblem } from './node-address.ts';

export const EXCLUDE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers';
export const TO_BE_DELETED_TAINT = 'ToBeDeletedByClusterAutoscaler';
const ZONE_LABEL = 'topology.kubernetes.io/zone';

/** What Go's `strconv.ParseBool` takes for false; whatever else the label says, it excludes. */
const FALSE_WORDS: ReadonlySet<string> = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

/** A node that receives no traffic, and why, for a person. */
export interface LeftOutNode {
  readonly name: string;
  readonly why: string;
}

/** The nodes that KEP-3458 lets a load balancer use. */
export function eligibleNodes(nodes: Iterable<Node>): readonly Node[] {
  return [...nodes].filter((node) => exclusionOf(node) === undefined);
}

/** Why KEP-3458 keeps the node out; undefined when it does not. */
function exclusionOf(node: Node): string | undefined {
  if (node.metadata.deletionTimestamp !== undefined) return 'it is being deleted';
  const label = node.metadata.labels?.[EXCLUDE_LABEL];
  if (label !== undefined && !FALSE_WORDS.has(label)) return `it has the label ${EXCLUDE_LABEL}`;
  const tainted = node.spec?.taints?.some((taint) => taint.key === TO_BE_DELETED_TAINT);
  return tainted ? `it has the taint ${TO_BE_DELETED_TAINT}` : undefined;
}

/**
 * The node as a target; undefined when it is not eligible or has no InternalIP that traffic may be sent to. Equal JSON
 * means that a change of the node object matters to no load balancer.
 * @param allowed The only ranges that nodes are in (`--node-addresses`); none for the default rule.
 */
export function nodeTarget(node: Node, allowed: readonly IpRange[] = []): NodeTarget | undefined {
  if (exclusionOf(node) !== undefined) return undefined;
  const { addresses } = internalAddresses(node, allowed);
  if (Object.keys(addresses).length === 0) return undefined;
  return {
    name: node.metadata.name,
    addresses,
    providerId: node.spec?.providerID || undefined,
    zone: node.metadata.labels?.[ZONE_LABEL] || undefined,
  };
}

interface InternalAddresses {
  /** The first InternalIP of each family that may be used, in canonical text. */
  readonly addresses: Readonly<Partial<Record<IpFamily, string>>>;
  /** Why others may not, each as a clause. */
  readonly refused: readonly string[];
}

function internalAddresses(node: Node, allowed: readonly IpRange[]): InternalAddresses {
  const addresses: Partial<Record<IpFamily, string>> = {};
  const refused: string[] = [];
  for (const { type, address } of node.status?.addresses ?? []) {
    const ip = type === 'InternalIP' ? parseIp(address) : undefined;
    if (ip === undefined) continue;
    const problem = nodeAddressProblem(ip, allowed);
    if (problem === undefined) addresses[ip.family] ??= ip.text;
    else refused.push(`its InternalIP ${ip.text} ${problem}`);
  }
  return { addresses, refused };
}

/** The targets that the nodes make, in the order of their names, with a version that follows from them. */
export function buildNodeSet(nodes: Iterable<Node>, allowed: readonly IpRange[] = []): NodeSet {
  return nodeSetOf([...nodes].map((node) => nodeTarget(node, allowed)).filter((target) => target !== undefined));
}

/** These targets, in the order of their names, with a version that follows from them. */
export function nodeSetOf(targets: readonly NodeTarget[]): NodeSet {
  const sorted = targets.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { version: nodeSetVersion(sorted), nodes: sorted };
}

/** Names of the nodes that say themselves that they are to receive no traffic: by label, taint or deletion. */
export function declinedNodes(nodes: Iterable<Node>): ReadonlySet<string> {
  return new Set([...nodes].filter((node) => exclusionOf(node) !== undefined).map(({ metadata }) => metadata.name));
}

function nodeSetVersion(targets: readonly NodeTarget[]): string {
  const hash = createHash('sha256');
  for (const { name, addresses, providerId, zone } of targets) {
    hash.update(JSON.stringify([name, addresses.IPv4, addresses.IPv6, providerId, zone]));
  }
  return hash.digest('base64url').slice(0, 22);
}

/** The nodes that are in no NodeSet, each with the reason, in the order of their names. */
export function leftOutNodes(nodes: Iterable<Node>, allowed: readonly IpRange[] = []): readonly LeftOutNode[] {
  return [...nodes]
    .filter((node) => nodeTarget(node, allowed) === undefined)
    .map((node) => ({ name: node.metadata.name, why: exclusionOf(node) ?? withoutAddress(node, allowed) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function withoutAddress(node: Node, allowed: readonly IpRange[]): string {
  return internalAddresses(node, allowed).refused.join(' and ') || 'it has no InternalIP';
}
