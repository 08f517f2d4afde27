import { constants } from 'node:os';
import { EXIT } from '../exit-codes.ts';
import type { Log } from '../../telemetry/log.ts';

export interface ProcessEnd extends Disposable {
  /** Aborts at the first SIGTERM or SIGINT. */
  readonly signal: AbortSignal;
}

/**
 * Watches for what ends the process: a first signal asks for an orderly end, a second one ends at once, and an error
 * that nobody handled ends at once too, because nothing is known to be right after it.
 */
export function watchForEnd(log: Log): ProcessEnd {
  const end = new AbortController();
  const onSignal = (name: 'SIGTERM' | 'SIGINT'): void => {
    if (end.signal.aborted) {
      log.warn({ signal: name }, 'ending at once, as asked a second time');
      process.exit(128 + constants.signals[name]);
    }
    log.info({ signal: name }, 'ending in order; a second signal ends at once');
    end.abort();
  };
  const onUnhandled = (error: unknown): void => {
    log.error({ error }, 'an error that nothing handled; please report it');
    process.exit(EXIT.failed.code);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('unhandledRejection', onUnhandled);
  process.on('uncaughtException', onUnhandled);
  return {
    signal: end.signal,
    [Symbol.dispose]() {
      process.off('SIGTERM', onSignal);
      process.off('SIGINT', onSignal);
      process.off('unhandledRejection', onUnhandled);
      process.off('uncaughtException', onUnhandled);
    },
  };
}
