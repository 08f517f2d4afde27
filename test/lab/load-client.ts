/**
 * An open-loop HTTP client: sends requests at a fixed rate, each on a connection of its own, never retries, and
 * prints one JSON line with what came back. It runs as a process of its own inside a machine of the lab.
 *
 *   node load-client.ts --url http://172.30.0.200/hostname --rate 100 --seconds 10
 *
 * SIGTERM ends the sending early; the summary is printed all the same.
 */
import http from 'node:http';
import { parseArgs } from 'node:util';

/** What the client saw. */
export interface LoadSummary {
  readonly sent: number;
  readonly succeeded: number;
  /**
   * Failures by what went wrong: an error code such as `ECONNRESET`, or `HTTP 502`. `connect ECONNREFUSED` where no
   * connection was made at all, so that the request cannot have reached anybody.
   */
  readonly failures: Readonly<Record<string, number>>;
  /** Answers by body (for `/hostname`: by pod). */
  readonly bodies: Readonly<Record<string, number>>;
  /** The longest time between two answers, the start and the end of sending included, in milliseconds. */
  readonly longestGapMs: number;
  /** Latency of the successful requests, in milliseconds. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

function quantile(sorted: readonly number[], share: number): number {
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      rate: { type: 'string', default: '100' },
      seconds: { type: 'string', default: '10' },
      'timeout-ms': { type: 'string', default: '5000' },
    },
  });
  const url = values.url;
  if (url === undefined) throw new Error('--url is missing');
  const intervalMs = 1000 / Number(values.rate);
  const total = Math.round(Number(values.rate) * Number(values.seconds));
  const timeoutMs = Number(values['timeout-ms']);

  const failures: Record<string, number> = {};
  const bodies: Record<string, number> = {};
  const latencies: number[] = [];
  let lastAnswer = performance.now();
  let longestGapMs = 0;
  const count = (table: Record<string, number>, key: string): void => {
    table[key] = (table[key] ?? 0) + 1;
  };

  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const began = performance.now();
      let connected = false;
      const fail = (error: NodeJS.ErrnoException): void => {
        // A reset that comes right behind the handshake is all that is seen of the connection.
        const neverMade = !connected && error.code !== 'ECONNRESET';
        count(failures, `${neverMade ? 'connect ' : ''}${error.code ?? error.message}`);
        resolve();
      };
      const request = http.get(url, { agent: false, timeout: timeoutMs }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('error', fail);
        response.on('end', () => {
          const ended = performance.now();
          if (response.statusCode === 200) {
            count(bodies, body.trim());
            latencies.push(ended - began);
            longestGapMs = Math.max(longestGapMs, ended - lastAnswer);
            lastAnswer = ended;
          } else {
            count(failures, `HTTP ${response.statusCode}`);
          }
          resolve();
        });
      });
      request.on('timeout', () => request.destroy(Object.assign(new Error('time-out'), { code: 'ETIMEDOUT' })));
      request.on('error', fail);
      request.on('socket', (socket) => socket.once('connect', () => (connected = true)));
    });

  const stop = new AbortController();
  process.on('SIGTERM', () => stop.abort());
  const running = new Set<Promise<void>>();
  const start = performance.now();
  let sent = 0;
  while (sent < total && !stop.signal.aborted) {
    // Due times come from the start, so that a late timer is caught up with and the rate holds.
    const waitMs = start + sent * intervalMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const request = one();
    running.add(request);
    void request.then(() => running.delete(request));
    sent += 1;
  }
  const lastSent = performance.now();
  await Promise.all(running);
  longestGapMs = Math.max(longestGapMs, lastSent - lastAnswer);
  latencies.sort((a, b) => a - b);
  const summary: LoadSummary = {
    sent,
    succeeded: latencies.length,
    failures,
    bodies,
    longestGapMs: Math.round(longestGapMs),
    latencyMs: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), max: quantile(latencies, 1) },
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
}

if (import.meta.main) await main();
