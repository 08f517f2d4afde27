import { describe, expect, it } from 'vitest';
import { Ejections } from '#providers/proxy/ejections';

const rules = { after: 3, forMs: 1_000 };

function ejected(at = 0): Ejections {
  const ejections = new Ejections(rules);
  for (let count = 0; count < 3; count++) ejections.failed('node-1', at);
  return ejections;
}

describe('passive health', () => {
  it('puts a node out after so many failures in a row, and says so once', () => {
    const ejections = new Ejections(rules);
    expect([1, 2, 3, 4].map(() => ejections.failed('node-1', 0))).toEqual([false, false, true, false]);
    expect(ejections.isOut('node-1', 0, undefined)).toBe(true);
    expect(ejections.isOut('node-2', 0, undefined)).toBe(false);
  });

  it('counts from the start again after a success', () => {
    const ejections = new Ejections(rules);
    ejections.failed('node-1', 0);
    ejections.failed('node-1', 0);
    ejections.succeeded('node-1');
    ejections.failed('node-1', 0);
    ejections.failed('node-1', 0);
    expect(ejections.isOut('node-1', 0, undefined)).toBe(false);
  });

  it('lets a node back when its time is over and a check has passed after that', () => {
    const ejections = ejected();
    expect(ejections.isOut('node-1', 999, 999)).toBe(true);
    expect(ejections.isOut('node-1', 1_500, 999)).toBe(true);
    expect(ejections.isOut('node-1', 1_500, 1_000)).toBe(false);
    expect(ejections.isOut('node-1', 1_500, 0)).toBe(false);
  });

  it('lets a node back after its time where no check is made', () => {
    expect(ejected().isOut('node-1', 999, undefined)).toBe(true);
    expect(ejected().isOut('node-1', 1_000, undefined)).toBe(false);
  });

  it('lets a node back at once that was tried all the same and worked', () => {
    const ejections = ejected();
    ejections.succeeded('node-1');
    expect(ejections.isOut('node-1', 1, 0)).toBe(false);
  });

  it('keeps a node out for longer when it fails again', () => {
    const ejections = ejected();
    ejections.failed('node-1', 900);
    expect(ejections.isOut('node-1', 1_000, 1_000)).toBe(true);
    expect(ejections.isOut('node-1', 1_900, 1_900)).toBe(false);
  });

  it('forgets nodes that are no targets any more', () => {
    const ejections = ejected();
    ejections.keep(new Set(['node-2']));
    expect(ejections.isOut('node-1', 0, undefined)).toBe(false);
  });
});
