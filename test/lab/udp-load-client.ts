/**
 * Sends UDP datagrams at a fixed rate, all from one socket and thus one source port, never twice, and prints one JSON
 * line with what came back. It runs as a process of its own inside a machine of the lab.
 *
 *   node udp-load-client.ts --host 172.30.0.200 --port 53 --rate 20 --seconds 10
 *
 * SIGTERM ends the sending early; the summary is printed all the same.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

/** What the client saw. */
export interface UdpLoadSummary {
  readonly sent: number;
  readonly answered: number;
  /** Errors of the socket by code: `ECONNREFUSED` when a port-unreachable came back. */
  readonly errors: Readonly<Record<string, number>>;
  /** Answers by body (for `hostname`: by pod). */
  readonly bodies: Readonly<Record<string, number>>;
  /** The longest time between two answers, the start and the end of sending included, in milliseconds. */
  readonly longestGapMs: number;
}

/** How long an answer may take; what comes later counts as lost. */
const LAST_ANSWERS_MS = 500;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '8081' },
      message: { type: 'string', default: 'hostname' },
      rate: { type: 'string', default: '20' },
      seconds: { type: 'string', default: '10' },
    },
  });
  const intervalMs = 1000 / Number(values.rate);
  const total = Math.round(Number(values.rate) * Number(values.seconds));
  const errors: Record<string, number> = {};
  const bodies: Record<string, number> = {};
  const count = (table: Record<string, number>, key: string): void => {
    table[key] = (table[key] ?? 0) + 1;
  };
  const answers = { count: 0, lastAt: 0, longestGapMs: 0 };
  const gapUntilNow = (): void => {
    const now = performance.now();
    answers.longestGapMs = Math.max(answers.longestGapMs, now - answers.lastAt);
    answers.lastAt = now;
  };

  const socket = createSocket(isIPv6(values.host) ? 'udp6' : 'udp4');
  socket.on('message', (answer) => {
    answers.count += 1;
    count(bodies, answer.toString().trim());
    gapUntilNow();
  });
  socket.on('error', (error: NodeJS.ErrnoException) => count(errors, error.code ?? error.message));
  socket.connect(Number(values.port), values.host);
  await once(socket, 'connect');

  const stop = new AbortController();
  process.on('SIGTERM', () => stop.abort());
  const start = performance.now();
  answers.lastAt = start;
  let sent = 0;
  while (sent < total && !stop.signal.aborted) {
    const waitMs = start + sent * intervalMs - performance.now();
    if (waitMs > 0) await delay(waitMs);
    socket.send(values.message, (error: NodeJS.ErrnoException | null) => {
      if (error) count(errors, error.code ?? error.message);
    });
    sent += 1;
  }
  const end = performance.now();
  for (; answers.count < sent && performance.now() - end < LAST_ANSWERS_MS; await delay(10));
  if (answers.count < sent) gapUntilNow();
  socket.close();
  const summary: UdpLoadSummary = {
    sent,
    answered: answers.count,
    errors,
    bodies,
    longestGapMs: Math.round(answers.longestGapMs),
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
}

if (import.meta.main) await main();
