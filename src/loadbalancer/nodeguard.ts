/**
 * Which nodes to believe in. A list of nodes that suddenly lacks most of them is more often wrong (an API server that
 * has just been restored, a cache that is not filled yet) than true, and believing it would take the targets from every
 * load balancer of the cluster at once. Pure: the state goes in and comes out.
 */
import type { NodeSet, NodeTarget } from './model.ts';
import { nodeSetOf } from './nodes.ts';

/** What an operator decides about it; times in milliseconds. */
export interface NodeGuardRules {
  /** More than this percentage of the nodes may not vanish at once; 100: only that all of them do is doubted. */
  readonly limitPercent: number;
  /** Nodes that vanish within this time have vanished at once. */
  readonly windowMs: number;
  /** How long vanished nodes are kept at most; 0: never. */
  readonly holdMs: number;
}

/** What the API server shows now. */
export interface SeenNodes {
  /** The nodes that may receive traffic. */
  readonly eligible: NodeSet;
  /** Names of nodes that are there and say themselves that they are not to: by label, taint or deletion. */
  readonly declined: ReadonlySet<string>;
}

/** Vanished nodes that are kept, until when. */
export interface Hold {
  /** In the order of their names. */
  readonly missing: readonly NodeTarget[];
  readonly endsAtMs: number;
}

export interface NodeGuardState {
  /** What load balancers are to use: what is seen, and with it what is held. */
  readonly nodes: NodeSet;
  /** When each node vanished that was believed to be gone, as far as that still counts. */
  readonly gone: ReadonlyMap<string, number>;
  readonly hold: Hold | undefined;
}

/** What a judgement changed about holding: nothing, or it began, or all came back, or the time was over. */
export type HoldChange = 'none' | 'held' | 'returned' | 'believed';

export interface Judgement {
  readonly state: NodeGuardState;
  readonly change: HoldChange;
}

/** The state of one who sees nodes for the first time, and so has nothing to compare them with. */
export function firstSight(nodes: NodeSet): NodeGuardState {
  return { nodes, gone: new Map(), hold: undefined };
}

/**
 * Believes what is seen, except when nodes vanished, which means that they were used, are not seen any more and do not
 * say themselves why, and
 *
 * - none would be left, or
 * - those that vanished within the window are more than one and more than the limit's share of those there were.
 *
 * Then they are kept until they are seen again or decline, at most for the hold time; whatever vanishes meanwhile is
 * kept with them. Nodes that come, change or decline are believed at once all the while.
 */
export function judgeNodes(before: NodeGuardState, seen: SeenNodes, nowMs: number, rules: NodeGuardRules): Judgement {
  const present = new Set(seen.eligible.nodes.map(({ name }) => name));
  const missing = before.nodes.nodes.filter(({ name }) => !present.has(name) && !seen.declined.has(name));
  const gone = new Map([...before.gone].filter(([name, at]) => !present.has(name) && nowMs - at < rules.windowMs));
  const believe = (change: HoldChange, since: ReadonlyMap<string, number>): Judgement => ({
    state: { nodes: seen.eligible, gone: since, hold: undefined },
    change,
  });
  if (missing.length === 0) return believe(before.hold ? 'returned' : 'none', gone);
  const isOver = before.hold !== undefined && nowMs >= before.hold.endsAtMs;
  if (isOver) return believe('believed', new Map());
  if (before.hold === undefined && !isDoubtful(before, missing, gone, present.size, rules)) {
    for (const { name } of missing) gone.set(name, nowMs);
    return believe('none', gone);
  }
  return {
    state: {
      nodes: nodeSetOf([...seen.eligible.nodes, ...missing]),
      gone,
      hold: { missing, endsAtMs: before.hold?.endsAtMs ?? nowMs + rules.holdMs },
    },
    change: before.hold ? 'none' : 'held',
  };
}

function isDoubtful(
  { nodes }: NodeGuardState,
  missing: readonly NodeTarget[],
  gone: ReadonlyMap<string, number>,
  left: number,
  { limitPercent, holdMs }: NodeGuardRules,
): boolean {
  if (holdMs === 0) return false;
  const lost = missing.length + gone.size;
  const were = nodes.nodes.length + gone.size;
  return left === 0 || (lost > 1 && lost * 100 > were * limitPercent);
}
