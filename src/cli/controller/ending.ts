import { BallastError } from '../../errors.ts';
import type { Provider } from '../../loadbalancer/provider.ts';

/**
 * Refuses to run where the process would not wait for a provider that must take something away at its end.
 * @throws BallastError `InvalidConfig` that names both options.
 */
export function checkEndings(providers: readonly Provider[], shutdownTimeoutMs: number): void {
  for (const { ending } of providers) {
    if (!ending || ending.atMostMs <= shutdownTimeoutMs) continue;
    const message =
      `--${ending.option} is too long for --shutdown-timeout: what must be removed at the end takes up to ` +
      `${ending.atMostMs} ms, and the process ends after ${shutdownTimeoutMs} ms. Shorten the one or lengthen the other.`;
    throw new BallastError('InvalidConfig', message, { field: ending.option });
  }
}
