/** Which target is next. Pure: every count is an argument. */
import type { Algorithm } from '#src/loadbalancer/model';

export interface Candidate {
  readonly name: string;
}

/** Nodes by what their health checks say. */
export interface Tiers<Node extends Candidate> {
  readonly healthy: readonly Node[];
  /** Not asked yet. */
  readonly unchecked: readonly Node[];
  readonly unhealthy: readonly Node[];
}

/** Some of the nodes. */
export interface Names {
  has(node: string): boolean;
}

export interface Question<Node extends Candidate> {
  readonly algorithm: Algorithm;
  readonly tiers: Tiers<Node>;
  /** Whether connections to the node failed so often that it is to be avoided. */
  readonly isEjected: (node: string) => boolean;
  /** Nodes that failed for this very connection. */
  readonly tried: Names;
  /** The node that the client had before, with session affinity. */
  readonly preferred: string | undefined;
  /** Goes up by one with every choice. */
  readonly turn: number;
  /** Open connections to the node. */
  readonly active: (node: string) => number;
}

/**
 * The next node, or undefined when every node was tried. Healthy nodes come first, then those not asked yet, then those
 * that connections failed to, then those that fail their check: when everything looks broken, trying is better than
 * refusing, for it may be the checks that are broken, or a moment behind.
 */
export function choose<Node extends Candidate>(question: Question<Node>): Node | undefined {
  const { tiers, isEjected, tried, preferred } = question;
  const good = (node: Node): boolean => !tried.has(node.name) && !isEjected(node.name);
  if (preferred !== undefined) {
    const kept = [...tiers.healthy, ...tiers.unchecked].find((node) => node.name === preferred);
    if (kept && good(kept)) return kept;
  }
  const untried = (node: Node): boolean => !tried.has(node.name);
  return (
    pick(tiers.healthy, good, question) ??
    pick(tiers.unchecked, good, question) ??
    pick(tiers.healthy, untried, question) ??
    pick(tiers.unchecked, untried, question) ??
    pick(tiers.unhealthy, untried, question)
  );
}

/** Walks the nodes from where it is this turn's turn; round robin takes the first allowed, least connections the least busy. */
function pick<Node extends Candidate>(
  nodes: readonly Node[],
  allowed: (node: Node) => boolean,
  { algorithm, turn, active }: Question<Node>,
): Node | undefined {
  let best: Node | undefined;
  let least = Infinity;
  for (let step = 0; step < nodes.length; step++) {
    const node = nodes[(turn + step) % nodes.length];
    if (!node || !allowed(node)) continue;
    if (algorithm === 'round-robin') return node;
    const load = active(node.name);
    if (load < least) [best, least] = [node, load];
  }
  return best;
}
