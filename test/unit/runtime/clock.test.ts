import { describe, expect, it } from 'vitest';
import { sleep, systemClock } from '#src/runtime/clock';
import { FakeClock } from '#test/fakes/clock';

describe('systemClock', () => {
  it('calls back after the delay, and not when cancelled', async () => {
    const calls: string[] = [];
    const cancel = systemClock.after(5, () => calls.push('cancelled'));
    cancel();
    const before = systemClock.now();
    await new Promise<void>((resolve) => {
      systemClock.after(20, resolve);
    });
    expect(systemClock.now() - before).toBeGreaterThanOrEqual(19);
    expect(calls).toEqual([]);
  });

  it('does not fire at once for a delay longer than a timer can hold', async () => {
    let fired = false;
    const cancel = systemClock.after(2 ** 40, () => {
      fired = true;
    });
    await new Promise<void>((resolve) => {
      systemClock.after(20, resolve);
    });
    cancel();
    expect(fired).toBe(false);
  });
});

describe('sleep', () => {
  it('resolves when the time has passed', async () => {
    const clock = new FakeClock();
    let awake = false;
    const sleeping = (async () => {
      await sleep(clock, 100, new AbortController().signal);
      awake = true;
    })();
    await clock.advance(99);
    expect(awake).toBe(false);
    await clock.advance(1);
    expect(awake).toBe(true);
    await sleeping;
  });

  it('rejects with the reason of the abort and leaves no timer', async () => {
    const clock = new FakeClock();
    const abort = new AbortController();
    const sleeping = sleep(clock, 100, abort.signal);
    abort.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    expect(clock.pending).toBe(0);
  });

  it('does not begin when the signal has aborted already', async () => {
    const clock = new FakeClock();
    await expect(sleep(clock, 100, AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
    expect(clock.pending).toBe(0);
  });
});

describe('FakeClock', () => {
  it('runs what is due in order, also what callbacks add, each at its own time', async () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const note = (name: string): void => void seen.push(`${name}@${clock.now()}`);
    clock.after(20, () => note('b'));
    clock.after(10, () => {
      note('a');
      void Promise.resolve().then(() => clock.after(5, () => note('a2')));
    });
    clock.after(20, () => note('c'));
    clock.after(40, () => note('late'));
    await clock.advance(30);
    expect(seen).toEqual(['a@10', 'a2@15', 'b@20', 'c@20']);
    expect(clock.nextInMs).toBe(10);
  });
});
