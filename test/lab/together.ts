/**
 * Runs tasks side by side. When one fails, the others are told by their signal to stop, and only when all have ended
 * is the first failure thrown: so nothing is still at work behind the back of whoever clears up.
 */
export async function together<T>(
  signal: AbortSignal | undefined,
  tasks: readonly ((signal: AbortSignal) => Promise<T>)[],
): Promise<readonly T[]> {
  const failed = new AbortController();
  const both = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const results = await Promise.allSettled(
    tasks.map(async (task) => {
      try {
        return await task(both);
      } catch (error) {
        failed.abort(error); // The first one counts.
        throw error;
      }
    }),
  );
  signal?.throwIfAborted();
  failed.signal.throwIfAborted();
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}
