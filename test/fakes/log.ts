import { createLog, type Log } from '#src/telemetry/log';

/** A line of the log as it was written: `level`, `time`, `msg` and the fields. */
export interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface CapturedLog {
  readonly log: Log;
  /** Every line so far, oldest first; grows as the log is used. */
  readonly lines: readonly LogLine[];
  /** All of it as text, for tests of what must not appear. */
  readonly text: () => string;
}

/** The real logger, at level debug, writing into memory. */
export function captureLog(): CapturedLog {
  const lines: LogLine[] = [];
  const written: string[] = [];
  const log = createLog('debug', {
    write(line) {
      written.push(line);
      lines.push(JSON.parse(line));
    },
  });
  return { log, lines, text: () => written.join('') };
}

/** For tests that do not look at the log. */
export const silentLog: Log = createLog('silent', { write: () => {} });
