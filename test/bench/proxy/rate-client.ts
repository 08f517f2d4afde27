/**
 * Sends HTTP requests at a fixed rate over a set of connections that are kept open, whatever the answers take (open
 * loop), and prints one JSON line with the latencies. It runs as a process of its own on a machine of a lab.
 *
 *   node rate-client.ts --url http://172.30.0.200/hostname --rate 1000 --seconds 5 --connections 50
 */
import http from 'node:http';
import { parseArgs } from 'node:util';

/** Latencies in milliseconds. */
export interface RateSummary {
  readonly sent: number;
  readonly failed: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

function quantile(sorted: readonly number[], share: number): number {
  return Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(3));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: '' },
      rate: { type: 'string', default: '1000' },
      seconds: { type: 'string', default: '5' },
      connections: { type: 'string', default: '50' },
    },
  });
  const agent = new http.Agent({ keepAlive: true, maxSockets: Number(values.connections) });
  const latencies: number[] = [];
  let failed = 0;
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const began = performance.now();
      const request = http.get(values.url, { agent, timeout: 10_000 }, (response) => {
        response.resume();
        response.on('end', () => {
          latencies.push(performance.now() - began);
          resolve();
        });
      });
      request.on('timeout', () => request.destroy(new Error('time-out')));
      request.on('error', () => {
        failed += 1;
        resolve();
      });
    });
  const running: Promise<void>[] = [];
  const intervalMs = 1000 / Number(values.rate);
  const total = Number(values.rate) * Number(values.seconds);
  const start = performance.now();
  // A timer takes a millisecond at least; each turn sends what is due by then.
  for (let sent = 0; sent < total;) {
    const due = Math.min(total, Math.floor((performance.now() - start) / intervalMs) + 1);
    for (; sent < due; sent++) running.push(one());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(running);
  agent.destroy();
  latencies.sort((a, b) => a - b);
  const summary: RateSummary = {
    sent: total,
    failed,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    max: quantile(latencies, 1),
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
}

if (import.meta.main) await main();
