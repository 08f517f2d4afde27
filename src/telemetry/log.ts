import { pino, type DestinationStream, type Logger } from 'pino';
import { redactFields, redactText } from './redact.ts';

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
 * One JSON object a line on standard output (or on `destination`): `level`, `time` (RFC 3339), the fields, `msg`.
 * Errors in fields, by convention under `error`, are written with name, message, code, kind, field, stack and causes.
 * Tokens and credentials never belong in fields; the redaction is the second line of defence.
 */
export function createLog(level: LogLevel, destination?: DestinationStream): Log {
  return wrap(
    pino(
      {
        level,
        base: null,
        timestamp: () => `,"time":"${new Date().toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
        hooks: { streamWrite: redactText },
      },
      destination ?? pino.destination(1),
    ),
  );
}

/** Redacts before pino sees the fields: its own redaction knows only paths of a fixed depth. */
function wrap(logger: Logger): Log {
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void => {
      if (!logger.isLevelEnabled(level)) return;
      logger[level](redactFields(fields instanceof Error ? { error: fields } : fields), message);
    };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => wrap(logger.child(redactFields(fields))),
  };
}
