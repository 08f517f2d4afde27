import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { together } from '../../lab/together.ts';

describe('tasks side by side', () => {
  it('give their results in order', async () => {
    const task = (value: number, ms: number) => async (): Promise<number> => {
      await delay(ms);
      return value;
    };
    expect(await together(undefined, [task(1, 5), task(2, 1)])).toEqual([1, 2]);
  });

  it('stop when one fails, and only then its error is thrown', async () => {
    let ended = false;
    const slow = async (signal: AbortSignal): Promise<void> => {
      await delay(60_000, undefined, { signal }).catch(() => undefined);
      await delay(5);
      ended = true;
    };
    const failing = async (): Promise<void> => {
      throw new Error('no');
    };
    await expect(together<void>(undefined, [slow, failing])).rejects.toThrow('no');
    expect(ended).toBe(true);
  });

  it('stop with the caller’s signal', async () => {
    const controller = new AbortController();
    const waiting = together(controller.signal, [(signal) => delay(60_000, undefined, { signal })]);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});
