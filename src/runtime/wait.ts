import type { Clock } from './clock.ts';

/** Resolves when the signal aborts; an end that was asked for is no error here. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Whether the promise settles, well or not, within `ms` milliseconds. Never rejects. */
export function settlesWithin(clock: Clock, promise: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => resolve(false));
    const onSettled = (): void => {
      cancel();
      resolve(true);
    };
    promise.then(onSettled, onSettled);
  });
}
