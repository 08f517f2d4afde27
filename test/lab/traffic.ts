/** Real client traffic from a machine of a lab: single requests, datagrams, and load at a fixed rate. */
import { fileURLToPath } from 'node:url';
import type { LoadSummary } from './load-client.ts';
import type { LabMachine } from './machine.ts';
import type { LabProcess } from './lab-process.ts';
import type { UdpLoadSummary } from './udp-load-client.ts';

export type { LoadSummary } from './load-client.ts';
export type { UdpLoadSummary } from './udp-load-client.ts';

const LOAD_CLIENT = fileURLToPath(new URL('load-client.ts', import.meta.url));
const UDP_CLIENT = fileURLToPath(new URL('udp-client.ts', import.meta.url));
const UDP_LOAD_CLIENT = fileURLToPath(new URL('udp-load-client.ts', import.meta.url));

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
  /** How long a connection may be silent before its request counts as failed. Default 5000. */
  readonly timeoutMs?: number;
}

/** Load that runs beside whatever the test does. */
export class Load {
  readonly #process: LabProcess;

  private constructor(process: LabProcess) {
    this.#process = process;
  }

  static async start(machine: LabMachine, options: LoadOptions): Promise<Load> {
    const { url, rate = 100, seconds = 60, timeoutMs = 5_000 } = options;
    const args = ['--url', url, '--rate', rate, '--seconds', seconds, '--timeout-ms', timeoutMs].map(String);
    return new Load(await machine.spawn(process.execPath, [LOAD_CLIENT, ...args], { name: `load-${loads++}` }));
  }

  /** Sends `count` requests as fast as `rate` says and gives what was seen. */
  static async run(
    machine: LabMachine,
    { count, rate = 100, ...options }: Omit<LoadOptions, 'seconds'> & { readonly count: number },
  ): Promise<LoadSummary> {
    const load = await Load.start(machine, { ...options, rate, seconds: count / rate });
    return load.#summary();
  }

  /** Stops sending, waits for the answers under way and gives what was seen. */
  async finish(): Promise<LoadSummary> {
    this.#process.signal('SIGTERM');
    return this.#summary();
  }

  async #summary(): Promise<LoadSummary> {
    const summary: LoadSummary = JSON.parse(await lastLine(this.#process));
    return summary;
  }
}

export interface UdpLoadOptions {
  readonly host: string;
  readonly port: number;
  /** Datagrams a second. Default 20. */
  readonly rate?: number;
  /** At most this long; `finish` ends it earlier. Default 60. */
  readonly seconds?: number;
}

/** Datagrams from one socket, so that everybody on the way takes them for one session, beside whatever the test does. */
export class UdpLoad {
  readonly #process: LabProcess;

  private constructor(process: LabProcess) {
    this.#process = process;
  }

  static async start(machine: LabMachine, options: UdpLoadOptions): Promise<UdpLoad> {
    const { host, port, rate = 20, seconds = 60 } = options;
    const args = ['--host', host, '--port', port, '--rate', rate, '--seconds', seconds].map(String);
    return new UdpLoad(await machine.spawn(process.execPath, [UDP_LOAD_CLIENT, ...args], { name: `udp-${loads++}` }));
  }

  /** Stops sending, waits for the last answers and gives what was seen. */
  async finish(): Promise<UdpLoadSummary> {
    this.#process.signal('SIGTERM');
    const summary: UdpLoadSummary = JSON.parse(await lastLine(this.#process));
    return summary;
  }
}

/** The JSON that a client prints at its end. */
async function lastLine(client: LabProcess): Promise<string> {
  await client.exited;
  const said = await client.output();
  const last = said.trim().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`${client.name} said no summary but: ${said.slice(-500)}`);
  return last;
}

/** So that each load has a log of its own. */
let loads = 0;

/** `5 of 1200 requests failed (ECONNRESET 5), longest gap 40 ms, latency p50 3 ms, p99 9 ms`. */
export function describeLoad({ sent, succeeded, failures, longestGapMs, latencyMs }: LoadSummary): string {
  const causes = Object.entries(failures).map(([cause, count]) => `${cause} ${count}`);
  const lost = causes.length === 0 ? '' : ` (${causes.join(', ')})`;
  return (
    `${sent - succeeded} of ${sent} requests failed${lost}, longest gap ${longestGapMs} ms, ` +
    `latency p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms, at most ${latencyMs.max} ms`
  );
}

/** How many requests failed because no connection was made: they cannot have reached anybody. */
export function connectFailures({ failures }: LoadSummary): number {
  const neverMade = Object.entries(failures).filter(([cause]) => cause.startsWith('connect '));
  return neverMade.reduce((sum, [, count]) => sum + count, 0);
}

/** `3 of 400 datagrams unanswered, longest gap 40 ms`. */
export function describeUdpLoad({ sent, answered, longestGapMs }: UdpLoadSummary): string {
  return `${sent - answered} of ${sent} datagrams unanswered, longest gap ${longestGapMs} ms`;
}
