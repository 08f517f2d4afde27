import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lookUp, SnapshotMap, type Snapshot } from '#providers/proxy/snapshot-map';

const KEYS = Array.from({ length: 700 }, (_, index) => `192.0.2.${index}`);

describe('a map of which pictures are taken', () => {
  it('gives pictures that later changes leave as they are, whatever happens', () => {
    const key = fc.constantFrom(...KEYS.slice(0, 40));
    const change = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), key, value: fc.nat(5) }),
      fc.record({ kind: fc.constant('delete' as const), key }),
      fc.record({ kind: fc.constant('picture' as const) }),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const map = new SnapshotMap<number>();
        const model = new Map<string, number>();
        const pictures: { readonly picture: Snapshot<number>; readonly model: ReadonlyMap<string, number> }[] = [];
        for (const each of changes) {
          if (each.kind === 'set') map.set(each.key, each.value);
          if (each.kind === 'set') model.set(each.key, each.value);
          if (each.kind === 'delete') map.delete(each.key);
          if (each.kind === 'delete') model.delete(each.key);
          if (each.kind === 'picture') pictures.push({ picture: map.snapshot(), model: new Map(model) });
        }
        for (const { picture, model: expected } of [...pictures, { picture: map.snapshot(), model }]) {
          for (const name of KEYS.slice(0, 40)) expect(lookUp(picture, name)).toBe(expected.get(name));
        }
      }),
    );
  });

  it('gives the same picture again while nothing changes', () => {
    const map = new SnapshotMap<number>();
    for (const key of KEYS) map.set(key, 1);
    const picture = map.snapshot();
    expect(map.snapshot()).toBe(picture);
    map.set('192.0.2.1', 2);
    expect(map.snapshot()).not.toBe(picture);
    expect(KEYS.every((key) => lookUp(picture, key) === 1)).toBe(true);
  });
});
