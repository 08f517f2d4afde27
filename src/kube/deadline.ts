import { systemClock, type Clock } from '../runtime/clock.ts';

/** Thrown (and the reason of the inner signal) when an operation took too long. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';
}

export interface DeadlineOptions {
  /** The caller's signal; its abort ends the operation with its reason. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly clock?: Clock;
}

/**
 * Runs `operation` with a signal that aborts with the caller's or after `timeoutMs`. Settles then, even when the
 * operation does not listen to its signal. The timer and the listener are gone when it settles, which
 * `AbortSignal.any` does not promise for a signal that lives as long as the process.
 * @throws DeadlineExceeded
 */
export async function withDeadline<T>(
  { signal, timeoutMs, clock = systemClock }: DeadlineOptions,
  operation: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const inner = new AbortController();
  const ended = Promise.withResolvers<never>();
  const end = (reason: unknown): void => {
    inner.abort(reason);
    ended.reject(reason);
  };
  const onAbort = (): void => end(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const cancel = clock.after(timeoutMs, () => end(new DeadlineExceeded(`no answer within ${timeoutMs} ms`)));
  try {
    return await Promise.race([operation(inner.signal), ended.promise]);
  } finally {
    cancel();
    signal.removeEventListener('abort', onAbort);
  }
}
