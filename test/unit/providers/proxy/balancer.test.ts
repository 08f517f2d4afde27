import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { choose, type Candidate, type Question } from '#providers/proxy/balancer';

function nodes(...names: readonly string[]): readonly Candidate[] {
  return names.map((name) => ({ name }));
}

function question(rest: Partial<Question<Candidate>> = {}): Question<Candidate> {
  return {
    algorithm: 'round-robin',
    tiers: { healthy: nodes('a', 'b', 'c'), unchecked: [], unhealthy: [] },
    isEjected: () => false,
    tried: new Set(),
    preferred: undefined,
    turn: 0,
    active: () => 0,
    ...rest,
  };
}

const chosen = (rest: Partial<Question<Candidate>>): string | undefined => choose(question(rest))?.name;

describe('choosing a target', () => {
  it('goes round', () => {
    expect([0, 1, 2, 3, 4].map((turn) => chosen({ turn }))).toEqual(['a', 'b', 'c', 'a', 'b']);
  });

  it('takes the one with the fewest connections, and turns where there is a tie', () => {
    const load = new Map([
      ['a', 2],
      ['b', 1],
      ['c', 1],
    ]);
    const busy = { algorithm: 'least-connections', active: (node: string) => load.get(node) ?? 0 } as const;
    expect([0, 1, 2].map((turn) => chosen({ ...busy, turn }))).toEqual(['b', 'b', 'c']);
  });

  it('prefers nodes that are healthy to those not asked yet', () => {
    const tiers = { healthy: nodes('b'), unchecked: nodes('a'), unhealthy: nodes('c') };
    expect([0, 1, 2].map((turn) => chosen({ tiers, turn }))).toEqual(['b', 'b', 'b']);
    expect(chosen({ tiers, tried: new Set(['b']) })).toBe('a');
  });

  it('tries nodes that fail their check when there are no others', () => {
    const tiers = { healthy: [], unchecked: [], unhealthy: nodes('a', 'b') };
    expect([0, 1].map((turn) => chosen({ tiers, turn }))).toEqual(['a', 'b']);
    expect(chosen({ tiers, tried: new Set(['a', 'b']) })).toBeUndefined();
  });

  it('avoids ejected nodes while there are others', () => {
    const isEjected = (node: string): boolean => node !== 'c';
    expect([0, 1, 2].map((turn) => chosen({ isEjected, turn }))).toEqual(['c', 'c', 'c']);
    expect(chosen({ isEjected, tried: new Set(['c']) })).toBe('a');
    const tiers = { healthy: nodes('a'), unchecked: nodes('c'), unhealthy: [] };
    expect(chosen({ isEjected, tiers })).toBe('c');
  });

  it('gives a client the node it had, as long as that is good', () => {
    expect([0, 1, 2].map((turn) => chosen({ preferred: 'b', turn }))).toEqual(['b', 'b', 'b']);
    expect(chosen({ preferred: 'b', tried: new Set(['b']) })).toBe('a');
    expect(chosen({ preferred: 'b', isEjected: (node) => node === 'b' })).toBe('a');
    expect(chosen({ preferred: 'b', tiers: { healthy: nodes('a'), unchecked: [], unhealthy: nodes('b') } })).toBe('a');
    expect(chosen({ preferred: 'gone' })).toBe('a');
  });

  it('gives every node the same share, whatever the algorithm', () => {
    const algorithm = fc.constantFrom('round-robin' as const, 'least-connections' as const);
    fc.assert(
      fc.property(algorithm, fc.integer({ min: 1, max: 9 }), fc.nat(1_000), (algorithm, size, start) => {
        const healthy = nodes(...Array.from({ length: size }, (_, index) => `node-${index}`));
        const counts = new Map<string, number>();
        for (let turn = start; turn < start + 10 * size; turn++) {
          const tiers = { healthy, unchecked: [], unhealthy: [] };
          const node = chosen({ algorithm, tiers, turn, active: (name) => counts.get(name) ?? 0 });
          counts.set(node ?? '', (counts.get(node ?? '') ?? 0) + 1);
        }
        expect([...counts.values()]).toEqual(Array.from({ length: size }, () => 10));
      }),
    );
  });

  it('never gives a node that was tried, and always one that was not', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const part = fc.subarray(names);
    fc.assert(
      fc.property(part, part, part, fc.nat(9), (healthy, tried, ejected, turn) => {
        const node = chosen({
          tiers: { healthy: nodes(...healthy), unchecked: [], unhealthy: [] },
          tried: new Set(tried),
          isEjected: (name) => ejected.includes(name),
          turn,
        });
        const untried = healthy.filter((name) => !tried.includes(name));
        expect(node === undefined ? untried.length === 0 : untried.includes(node)).toBe(true);
      }),
    );
  });
});
