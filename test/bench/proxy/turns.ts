/** Runs the same work over each way in turns, so that what else the machine does meets all of them. */
import { median } from '../measure.ts';
import { cpuSeconds } from '../process.ts';
import { makeSetting, type Setting, type Way } from './setting.ts';
import { ask, connect, download } from './work.ts';

/** Turns over all ways; each figure is the median over them. */
const TURNS = 3;
/** Length of the runs that are not given by an amount. */
const SECONDS = 5;

/** What one way did. CPU is that of the process in between. */
export interface WayFigures {
  /** 4 downloads of 512 MiB at once. */
  readonly megabytesPerSecond: number;
  readonly cpuMsPerGigabyte: number;
  /** 64 clients, a new connection for each request. */
  readonly connectionsPerSecond: number;
  readonly cpuMsPerThousandConnections: number;
  /** At 1,000 requests a second over open connections. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function measureWays(progress: (line: string) => void): Promise<ReadonlyMap<Way['name'], WayFigures>> {
  await using setting = await makeSetting(progress);
  const seen = new Map<Way['name'], WayFigures[]>();
  for (let turn = 1; turn <= TURNS; turn++) {
    for (const way of setting.ways) {
      progress(`turn ${turn} of ${TURNS}: ${way.name}`);
      seen.set(way.name, [...(seen.get(way.name) ?? []), await measureWay(setting, way)]);
    }
  }
  return new Map(Array.from(seen, ([name, runs]) => [name, medians(runs)]));
}

function medians(runs: readonly WayFigures[]): WayFigures {
  const middle = (figure: keyof WayFigures): number => median(runs.map((run) => run[figure]));
  return {
    megabytesPerSecond: middle('megabytesPerSecond'),
    cpuMsPerGigabyte: middle('cpuMsPerGigabyte'),
    connectionsPerSecond: middle('connectionsPerSecond'),
    cpuMsPerThousandConnections: middle('cpuMsPerThousandConnections'),
    p50Ms: middle('p50Ms'),
    p99Ms: middle('p99Ms'),
  };
}

async function measureWay({ client }: Setting, way: Way): Promise<WayFigures> {
  const large = await timed(way, () => download(client, way.large, 4));
  const small = await timed(way, () => connect(client, way.small, SECONDS));
  const { p50, p99 } = await ask(client, way.small, SECONDS);
  return {
    megabytesPerSecond: large.amount / large.seconds,
    cpuMsPerGigabyte: (large.cpuMs / large.amount) * 1000,
    connectionsPerSecond: small.amount / small.seconds,
    cpuMsPerThousandConnections: (small.cpuMs / small.amount) * 1000,
    p50Ms: p50,
    p99Ms: p99,
  };
}

interface Timed {
  readonly amount: number;
  readonly seconds: number;
  readonly cpuMs: number;
}

async function timed({ pid }: Way, work: () => Promise<number>): Promise<Timed> {
  const cpu = (): number => (pid === undefined ? 0 : cpuSeconds(pid) * 1000);
  const [cpuBefore, began] = [cpu(), performance.now()];
  const amount = await work();
  return { amount, seconds: (performance.now() - began) / 1000, cpuMs: cpu() - cpuBefore };
}
