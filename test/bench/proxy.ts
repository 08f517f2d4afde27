/** The proxy's data path beside HAProxy in TCP mode: same machine, same targets, same load, in turns. */
import type { Measure } from './measure.ts';
import { type WayFigures, measureWays } from './proxy/turns.ts';
import type { ScenarioContext } from './scenario.ts';

export async function proxy({ progress }: ScenarioContext): Promise<readonly Measure[]> {
  const ways = await measureWays(progress);
  const [direct, haproxy, ours] = [ways.get('direct'), ways.get('HAProxy'), ways.get('Ballast')];
  if (!direct || !haproxy || !ours) throw new Error('one of the three ways was not measured');
  const measure = (figure: string, unit: Measure['unit'], of: keyof WayFigures, withDirect = true): Measure => ({
    figure,
    unit,
    value: ours[of],
    beside: [{ who: 'HAProxy', value: haproxy[of] }, ...(withDirect ? [{ who: 'no proxy', value: direct[of] }] : [])],
  });
  return [
    measure('4 downloads of 512 MiB at once', 'MB/s', 'megabytesPerSecond'),
    {
      figure: 'downloads, share of what HAProxy does',
      unit: '',
      value: ours.megabytesPerSecond / haproxy.megabytesPerSecond,
      atLeast: 0.5,
    },
    measure('CPU for a gigabyte', 'ms CPU', 'cpuMsPerGigabyte', false),
    measure('new connections, 64 clients', '/s', 'connectionsPerSecond'),
    {
      figure: 'new connections, share of what HAProxy does',
      unit: '',
      value: ours.connectionsPerSecond / haproxy.connectionsPerSecond,
      atLeast: 0.3,
    },
    measure('CPU for 1,000 connections', 'ms CPU', 'cpuMsPerThousandConnections', false),
    measure('1,000 requests/s: p50', 'ms', 'p50Ms'),
    measure('1,000 requests/s: p99', 'ms', 'p99Ms'),
    {
      figure: '1,000 requests/s: p99 added to no proxy',
      unit: 'ms',
      value: ours.p99Ms - direct.p99Ms,
      atMost: 2,
      beside: [{ who: 'HAProxy', value: haproxy.p99Ms - direct.p99Ms }],
    },
  ];
}
