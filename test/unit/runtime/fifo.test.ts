import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { Fifo } from '#src/runtime/fifo';
import { settle } from '#test/fakes/clock';

it('hands out what came first, whatever the order of pushes and shifts', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer(), { nil: undefined })), (steps) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      const shifted: (number | undefined)[][] = [];
      for (const step of steps) {
        if (step === undefined) shifted.push([fifo.shift(), model.shift()]);
        else {
          fifo.push(step);
          model.push(step);
        }
        expect(fifo.size).toBe(model.length);
      }
      while (model.length > 0) shifted.push([fifo.shift(), model.shift()]);
      expect(shifted.map(([actual]) => actual)).toEqual(shifted.map(([, expected]) => expected));
      expect(fifo.shift()).toBeUndefined();
    }),
  );
});

it('keeps nothing alive that has left (GarbageCollection)', async () => {
  const fifo = new Fifo<object>();
  const left = Array.from({ length: 3 }, () => {
    const item = {};
    fifo.push(item);
    return new WeakRef(item);
  });
  for (let i = 0; i < left.length; i++) fifo.shift();
  fifo.push({});
  await settle();
  setFlagsFromString('--expose-gc');
  const collectGarbage: unknown = runInNewContext('gc');
  if (typeof collectGarbage !== 'function') throw new Error('this Node cannot be told to collect garbage');
  collectGarbage();
  expect(left.map((item) => item.deref())).toEqual([undefined, undefined, undefined]);
  expect(fifo.size).toBe(1);
});
