import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeadlineHeap } from '#src/runtime/heap';

describe('DeadlineHeap', () => {
  it('gives nothing before it is due', () => {
    const heap = new DeadlineHeap<string>();
    heap.add('a', 10);
    expect(heap.takeDue(9)).toBeUndefined();
    expect(heap.takeDue(10)).toBe('a');
    expect(heap.takeDue(1000)).toBeUndefined();
    expect(heap.nextAt).toBeUndefined();
  });

  it('is empty after clear', () => {
    const heap = new DeadlineHeap<string>();
    heap.add('a', 1);
    heap.clear();
    expect(heap.size).toBe(0);
    heap.add('a', 5);
    expect(heap.nextAt).toBe(5);
  });

  it('gives keys by due time, then by arrival, and keeps the earliest time of each', () => {
    const add = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'),
      at: fc.integer({ min: 0, max: 20 }),
    });
    const step = fc.oneof(add, fc.record({ takeUpTo: fc.integer({ min: 0, max: 20 }) }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const heap = new DeadlineHeap<string>();
        const taken: (string | undefined)[][] = [];
        let model: { key: string; at: number }[] = [];
        for (const step of steps) {
          if ('key' in step) {
            heap.add(step.key, step.at);
            const known = model.find(({ key }) => key === step.key);
            if (known) known.at = Math.min(known.at, step.at);
            else model.push({ ...step });
          } else {
            const first = model.toSorted((a, b) => a.at - b.at)[0];
            const due = first && first.at <= step.takeUpTo ? first : undefined;
            taken.push([heap.takeDue(step.takeUpTo), due?.key]);
            model = model.filter((entry) => entry !== due);
          }
          expect(heap.size).toBe(model.length);
          expect(heap.nextAt).toBe(model.length > 0 ? Math.min(...model.map(({ at }) => at)) : undefined);
        }
        expect(taken.map(([actual]) => actual)).toEqual(taken.map(([, expected]) => expected));
      }),
    );
  });
});
