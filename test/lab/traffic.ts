/** Real client traffic from a machine of a lab: single requests, datagrams, and load at a fixed rate. */
import { fileURLToPath } from 'node:url';
import type { LoadSummary } from './load-client.ts';
import type { LabMachine } from './machine.ts';
import type { LabProcess } from './lab-process.ts';

export type { LoadSummary } from './load-client.ts';

const LOAD_CLIENT = fileURLToPath(new URL('load-client.ts', import.meta.url));
const UDP_CLIENT = fileURLToPath(new URL('udp-client.ts', import.meta.url));

/** An address as it stands in a URL. */
export function urlHost(ip: string): string {
  return ip.includes(':') ? `[${ip}]` : ip;
}

/** The body of a GET on a connection of its own; rejects when no 200 came within `timeoutSeconds` (5). */
export async function fetchOnce(machine: LabMachine, url: string, timeoutSeconds: number = 5): Promise<string> {
  const curl = ['curl', '--silent', '--show-error', '--fail', '--insecure', '--max-time', String(timeoutSeconds), url];
  const { stdout } = await machine.exec(curl, { timeoutMs: (timeoutSeconds + 5) * 1000 });
  return stdout.trim();
}

/** The answer to one datagram; rejects when none came within `timeoutMs` (1000). */
export async function askUdp(
  machine: LabMachine,
  options: { readonly host: string; readonly port: number; readonly message?: string; readonly timeoutMs?: number },
): Promise<string> {
  const { host, port, message = 'hostname', timeoutMs = 1000 } = options;
  const { stdout } = await machine.exec(
    [process.execPath, UDP_CLIENT, '--host', host, '--port', String(port), '--message', message].concat([
      '--timeout-ms',
      String(timeoutMs),
    ]),
    { timeoutMs: timeoutMs + 10_000 },
  );
  return stdout.trim();
}

export interface LoadOptions {
  readonly url: string;
  /** Requests a second. Default 100. */
  readonly rate?: number;
  /** At most this long; `finish` ends it earlier. Default 60. */
  readonly seconds?: number;
}

/** Load that runs beside whatever the test does. */
export class Load {
  readonly #process: LabProcess;

  private constructor(process: LabProcess) {
    this.#process = process;
  }

  static async start(machine: LabMachine, { url, rate = 100, seconds = 60 }: LoadOptions): Promise<Load> {
    const args = [LOAD_CLIENT, '--url', url, '--rate', String(rate), '--seconds', String(seconds)];
    return new Load(await machine.spawn(process.execPath, args, { name: `load-${loads++}` }));
  }

  /** Stops sending, waits for the answers under way and gives what was seen. */
  async finish(): Promise<LoadSummary> {
    await this.#process.stop({ graceMs: 15_000 });
    const said = await this.#process.output();
    const last = said.trim().split('\n').at(-1) ?? '';
    if (!last.startsWith('{')) throw new Error(`the load client said no summary but: ${said.slice(-500)}`);
    return JSON.parse(last) as LoadSummary;
  }
}

/** So that each load has a log of its own. */
let loads = 0;

/** `5 of 1200 requests failed (ECONNRESET 5), longest gap 40 ms, latency p50 3 ms, p99 9 ms`. */
export function describeLoad({ sent, succeeded, failures, longestGapMs, latencyMs }: LoadSummary): string {
  const causes = Object.entries(failures).map(([cause, count]) => `${cause} ${count}`);
  const lost = causes.length === 0 ? '' : ` (${causes.join(', ')})`;
  return (
    `${sent - succeeded} of ${sent} requests failed${lost}, longest gap ${longestGapMs} ms, ` +
    `latency p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms`
  );
}
