/** What clients do to a load balancer while it is measured: each function is one run, from a machine of the lab. */
import { fileURLToPath } from 'node:url';
import type { LabMachine } from '#test/lab/machine';
import type { RateSummary } from './rate-client.ts';

const RATE_CLIENT = fileURLToPath(new URL('rate-client.ts', import.meta.url));

/** Downloads `url` `count` times at once; the megabytes (10⁶ bytes) that came in all. */
export async function download(client: LabMachine, url: string, count: number): Promise<number> {
  const targets = Array.from({ length: count }, () => ['--output', '/dev/null', url]).flat();
  const args = ['--parallel', '--parallel-immediate', '--silent', '--show-error', '--fail', '--max-time', '60'];
  const command = ['curl', ...args, '--write-out', '%{size_download}\n', ...targets];
  const { stdout } = await client.exec(command, { timeoutMs: 90_000 });
  const sizes = stdout.trim().split('\n').map(Number);
  return sizes.reduce((sum, size) => sum + size, 0) / 1e6;
}

/** Requests with a new connection for each: how many 64 clients got through in `seconds`. */
export async function connect(client: LabMachine, url: string, seconds: number): Promise<number> {
  const clients = ['--threads', '1', '--connections', '64', '--timeout', '20s'];
  const command = ['wrk', ...clients, '--duration', `${seconds}s`, '--header', 'Connection: close', url];
  const { stdout } = await client.exec(command, { timeoutMs: seconds * 1000 + 60_000 });
  const count = /(\d+) requests in/.exec(stdout)?.[1];
  const errors = /Socket errors:.*|Non-2xx.*/.exec(stdout)?.[0];
  if (count === undefined || errors !== undefined) throw new Error(`wrk at ${url}: ${errors ?? stdout}`);
  return Number(count);
}

/** Latencies at 1,000 requests a second over 50 open connections. */
export async function ask(client: LabMachine, url: string, seconds: number): Promise<RateSummary> {
  const command = [process.execPath, RATE_CLIENT, '--url', url, '--rate', '1000', '--seconds', String(seconds)];
  const { stdout } = await client.exec(command, { timeoutMs: seconds * 1000 + 30_000 });
  const summary: RateSummary = JSON.parse(stdout);
  if (summary.failed > 0) throw new Error(`${summary.failed} of ${summary.sent} requests failed at ${url}`);
  return summary;
}
