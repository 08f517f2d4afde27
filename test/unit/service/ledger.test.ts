import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyOf, type LoadBalancerKey } from '#src/loadbalancer/identity';
import { Ledger } from '#src/service/ledger';

const KEYS = ['a', 'b', 'c'].map((name) => keyOf({ kind: 'group', namespace: 'default', name }));
const [A = KEYS[0]!, B = KEYS[0]!] = KEYS;

describe('Ledger', () => {
  it('knows who holds whom, as last observed', () => {
    const ledger = new Ledger();
    ledger.observed(A, ['1', '2']);
    ledger.observed(B, ['2']);
    expect([...ledger.holdersOf('2')]).toEqual([A, B]);
    ledger.observed(A, ['1']);
    expect([...ledger.holdersOf('2')]).toEqual([B]);
    expect([...ledger.heldBy(A)]).toEqual(['1']);
    ledger.observed(B, []);
    expect(ledger.holdersOf('2').size).toBe(0);
    expect([...ledger.keys()]).toEqual([A]);
    expect(ledger.size).toBe(1);
  });

  it('counts what is about to be held as held, until it is observed', () => {
    const ledger = new Ledger();
    ledger.observed(A, ['1']);
    ledger.expected(A, ['2']);
    expect([...ledger.heldBy(A)]).toEqual(['1', '2']);
    ledger.observed(A, ['1']);
    expect(ledger.holdersOf('2').size).toBe(0);
  });

  it('keeps apart what is held and what a reconcile means to hold', () => {
    const ledger = new Ledger();
    ledger.intend(A, ['1']);
    ledger.observed(A, []);
    expect(ledger.mayHold('1')).toBe(true);
    expect(ledger.holdersOf('1').size + ledger.heldBy(A).size + ledger.size).toBe(0);
    expect([...ledger.endIntent(A)]).toEqual(['1']);
    expect(ledger.mayHold('1')).toBe(false);
    ledger.observed(B, ['1']);
    expect(ledger.mayHold('1')).toBe(true);
  });

  it('leaves what it gave as it was', () => {
    const ledger = new Ledger();
    ledger.observed(A, ['1']);
    const before = ledger.heldBy(A);
    ledger.observed(A, []);
    expect([...before]).toEqual(['1']);
  });

  it('agrees in both directions after any history', () => {
    const event = fc.record({
      key: fc.constantFrom(...KEYS),
      uids: fc.subarray(['1', '2', '3']),
      expected: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const ledger = new Ledger();
        const model = new Map<LoadBalancerKey, Set<string>>();
        for (const { key, uids, expected } of events) {
          if (expected) ledger.expected(key, uids);
          else ledger.observed(key, uids);
          model.set(key, new Set([...(expected ? (model.get(key) ?? []) : []), ...uids]));
        }
        for (const key of KEYS) expect(new Set(ledger.heldBy(key))).toEqual(model.get(key) ?? new Set());
        for (const uid of ['1', '2', '3']) {
          expect(new Set(ledger.holdersOf(uid))).toEqual(new Set(KEYS.filter((key) => model.get(key)?.has(uid))));
        }
        expect(new Set(ledger.keys())).toEqual(new Set(KEYS.filter((key) => (model.get(key)?.size ?? 0) > 0)));
      }),
    );
  });
});
