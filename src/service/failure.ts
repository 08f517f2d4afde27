import { classify, type BallastError } from '../errors.ts';

/**
 * The place in the error table of what one part of a reconcile threw, so that the other parts can go on. Throws on
 * what ends them all: the abort of the signal, and the loss of leadership.
 */
export function failureOf(error: unknown, signal: AbortSignal): BallastError {
  signal.throwIfAborted();
  const failure = classify(error);
  if (failure.code === 'NotLeader') throw failure;
  return failure;
}
