import { pino, type DestinationStream } from 'pino';

/** The structured logger that every part receives; a child carries the fields of its context. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * One JSON object a line on standard output (or on `destination`). `error` fields are written with code and stack.
 * Tokens and credentials never belong in fields; the redaction is the second line of defence.
 */
export function createLog(level: LogLevel, destination?: DestinationStream): Log {
  return pino(
    {
      level,
      base: null,
      errorKey: 'error',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ['*.token', '*.authorization', '*.password', 'token', 'authorization', 'password'],
        censor: '[redacted]',
      },
    },
    destination ?? pino.destination(1),
  );
}
