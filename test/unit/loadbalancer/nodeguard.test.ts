import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { manyNodes, nodeTarget } from '#test/fakes/builders';
import type { NodeSet, NodeTarget } from '#src/loadbalancer/model';
import { firstSight, judgeNodes } from '#src/loadbalancer/nodeguard';
import type { HoldChange, NodeGuardRules, NodeGuardState, SeenNodes } from '#src/loadbalancer/nodeguard';
import { nodeSetOf } from '#src/loadbalancer/nodes';

const RULES: NodeGuardRules = { limitPercent: 50, windowMs: 10_000, holdMs: 60_000 };

function named(...names: readonly string[]): NodeSet {
  return nodeSetOf(names.map((name) => nodeTarget({ name })));
}

function seen(eligible: NodeSet, ...declined: readonly string[]): SeenNodes {
  return { eligible, declined: new Set(declined) };
}

function names({ nodes }: Pick<NodeGuardState, 'nodes'>): readonly string[] {
  return nodes.nodes.map(({ name }) => name);
}

/** What is judged of what is seen at each time, in milliseconds. */
function history(
  first: NodeSet,
  sights: readonly (readonly [atMs: number, sight: SeenNodes])[],
  rules: Partial<NodeGuardRules> = {},
): { readonly state: NodeGuardState; readonly changes: readonly HoldChange[] } {
  let state = firstSight(first);
  const changes: HoldChange[] = [];
  for (const [atMs, sight] of sights) {
    const judgement = judgeNodes(state, sight, atMs, { ...RULES, ...rules });
    state = judgement.state;
    changes.push(judgement.change);
  }
  return { state, changes };
}

const ten = nodeSetOf(manyNodes(10).nodes);
const without = (...gone: readonly number[]): NodeSet =>
  nodeSetOf(ten.nodes.filter(({ name }) => !gone.some((number) => name === `node-${number}`)));
const NONE = named();

describe('nodes that vanish', () => {
  it('are kept when none is left, until they are back', () => {
    const { state, changes } = history(ten, [
      [0, seen(NONE)],
      [59_999, seen(NONE)],
    ]);
    expect(state.nodes).toEqual(ten);
    expect(changes).toEqual(['held', 'none']);
    const back = judgeNodes(state, seen(ten), 59_999, RULES);
    expect(back).toEqual({ state: firstSight(ten), change: 'returned' });
  });

  it('are believed to be gone when the time is over, also the last one', () => {
    for (const first of [ten, named('only')]) {
      const { state, changes } = history(first, [
        [5, seen(NONE)],
        [60_005, seen(NONE)],
      ]);
      expect(state).toEqual(firstSight(NONE));
      expect(changes).toEqual(['held', 'believed']);
    }
  });

  it('are doubted only when they are more than the limit', () => {
    expect(history(ten, [[0, seen(without(1, 2, 3, 4, 5))]]).changes).toEqual(['none']);
    expect(history(ten, [[0, seen(without(1, 2, 3, 4, 5, 6))]]).changes).toEqual(['held']);
    const limit = { limitPercent: 100 };
    expect(history(ten, [[0, seen(without(1, 2, 3, 4, 5, 6, 7, 8, 9))]], limit).changes).toEqual(['none']);
    expect(history(ten, [[0, seen(NONE)]], limit).changes).toEqual(['held']);
  });

  it('one by one are let go at once, however few are left', () => {
    const sights = [2, 3, 4, 5, 6, 7, 8, 9, 10].map(
      (last, index) =>
        [index * RULES.windowMs, seen(without(...Array.from({ length: last - 1 }, (_, each) => each + 1)))] as const,
    );
    const { state, changes } = history(ten, sights);
    expect(names(state)).toEqual(['node-10']);
    expect(new Set(changes)).toEqual(new Set(['none']));
    // A limit below one node does not mean that no node may go.
    expect(history(ten, [[0, seen(without(1))]], { limitPercent: 1 }).changes).toEqual(['none']);
    expect(history(named('a', 'b'), [[0, seen(named('a'))]], { limitPercent: 1 }).changes).toEqual(['none']);
  });

  it('count together within the window; what was let go before stays so', () => {
    const sights = [
      [0, seen(without(1, 2, 3))],
      [9_999, seen(without(1, 2, 3, 4, 5, 6))],
    ] as const;
    const { state, changes } = history(ten, sights);
    expect(changes).toEqual(['none', 'held']);
    expect(state.nodes).toEqual(without(1, 2, 3));
    const [[, first], [, second]] = sights;
    expect(
      history(ten, [
        [0, first],
        [10_000, second],
      ]).changes,
    ).toEqual(['none', 'none']);
  });

  it('and come back do not count, however often', () => {
    const sights = Array.from(
      { length: 20 },
      (_, index) => [index * 100, seen(index % 2 === 0 ? without(1) : ten)] as const,
    );
    expect(new Set(history(ten, sights).changes)).toEqual(new Set(['none']));
  });

  it('are let go at once when they said so themselves: by label, taint or deletion', () => {
    const { state, changes } = history(named('a', 'b', 'c'), [[0, seen(NONE, 'a', 'b', 'c')]]);
    expect(names(state)).toEqual([]);
    expect(changes).toEqual(['none']);
    const mixed = history(named('a', 'b', 'c'), [[0, seen(NONE, 'a')]]);
    expect(names(mixed.state)).toEqual(['b', 'c']);
    expect(mixed.changes).toEqual(['held']);
  });

  it('are let go at once where nothing is to be held', () => {
    expect(history(ten, [[0, seen(NONE)]], { holdMs: 0 }).state.nodes).toEqual(NONE);
  });
});

describe('while nodes are held', () => {
  it('those that are seen are taken as they are, and new ones with them', () => {
    const moved: NodeTarget = nodeTarget({ name: 'b', addresses: { IPv4: '10.9.9.9' } });
    const { state, changes } = history(named('a', 'b', 'c'), [
      [0, seen(NONE)],
      [10, seen(nodeSetOf([moved, nodeTarget({ name: 'd' })]))],
    ]);
    expect(names(state)).toEqual(['a', 'b', 'c', 'd']);
    expect(state.nodes.nodes[1]).toEqual(moved);
    expect(state.hold?.missing.map(({ name }) => name)).toEqual(['a', 'c']);
    expect(changes).toEqual(['held', 'none']);
  });

  it('the time is not prolonged by what vanishes later', () => {
    const { state } = history(ten, [
      [0, seen(without(1, 2, 3, 4, 5, 6))],
      [30_000, seen(without(1, 2, 3, 4, 5, 6, 7))],
    ]);
    expect(state.hold?.endsAtMs).toBe(60_000);
    expect(judgeNodes(state, seen(without(1, 2, 3, 4, 5, 6, 7)), 60_000, RULES).state.nodes.nodes).toHaveLength(3);
  });
});

describe('whatever happens', () => {
  const set = fc.subarray(ten.nodes.map((node) => node)).map(nodeSetOf);
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 30_000 }), set), { minLength: 1, maxLength: 12 });

  it('all that is seen is used, nothing is used that was never seen, and every hold ends in its time', () => {
    fc.assert(
      fc.property(set, steps, fc.integer({ min: 1, max: 100 }), (first, sights, limitPercent) => {
        const rules = { ...RULES, limitPercent };
        let state = firstSight(first);
        let now = 0;
        for (const [ms, eligible] of sights) {
          now += ms;
          const before = state;
          state = judgeNodes(before, seen(eligible), now, rules).state;
          const held = state.hold?.missing ?? [];
          expect(state.nodes).toEqual(nodeSetOf([...eligible.nodes, ...held]));
          expect(names(before)).toEqual(expect.arrayContaining(held.map(({ name }) => name)));
          const leftMs = state.hold ? state.hold.endsAtMs - now : 1;
          expect(leftMs > 0 && leftMs <= RULES.holdMs).toBe(true);
          expect(state.nodes.nodes.length > 0 || before.nodes.nodes.length === 0 || before.hold !== undefined).toBe(
            true,
          );
          // Judging the same again changes nothing.
          expect(judgeNodes(state, seen(eligible), now, rules)).toEqual({ state, change: 'none' });
        }
        const end = judgeNodes(state, seen(NONE), now + RULES.holdMs, rules);
        const later = judgeNodes(end.state, seen(NONE), now + 2 * RULES.holdMs, rules);
        expect(later.state.nodes).toEqual(NONE);
      }),
      { numRuns: 300 },
    );
  });
});
