/** What the limits on connections and sessions cost in file descriptors, and whether there are so many. */
import { readFileSync } from 'node:fs';
import type { ProxyOptions } from './options.ts';

/** For listening sockets, health checks, and the controller's own connections. */
const RESERVE = 256;
/** Below this, the limits would let nobody in. */
const LEAST = 8;

export type Limits = Pick<ProxyOptions, 'maxConnections' | 'maxWaiting' | 'maxUdpSessions'>;

/** How many files this process may have open; undefined where that cannot be known, which is anywhere but on Linux. */
export function mostOpenFiles(): number | undefined {
  try {
    return parseMostOpenFiles(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return undefined;
  }
}

/** The soft limit in the text of `/proc/self/limits` (proc_pid_limits(5)); undefined for none. */
export function parseMostOpenFiles(text: string): number | undefined {
  const limit = /^Max open files +(\d+)/m.exec(text)?.[1];
  return limit === undefined ? undefined : Number(limit);
}

/** Descriptors at the limits: a TCP connection has two, one that waits and a session have one. */
export function filesNeeded({ maxConnections, maxWaiting, maxUdpSessions }: Limits): number {
  return 2 * maxConnections + maxWaiting + maxUdpSessions + RESERVE;
}

/** The limits, all shrunk in the same proportion where they need more descriptors than there are. */
export function limitsWithin<L extends Limits>(limits: L, files: number | undefined): L {
  const needed = filesNeeded(limits);
  if (files === undefined || needed <= files) return limits;
  const available = Math.max(LEAST, files - RESERVE);
  const share = available / (needed - RESERVE);
  const shrink = (limit: number): number => Math.floor(limit * share);
  const maxConnections = Math.max(1, shrink(limits.maxConnections));
  // What the least of one takes beyond its share is taken from the others.
  const maxUdpSessions = Math.max(1, Math.min(shrink(limits.maxUdpSessions), available - 2 * maxConnections));
  const left = available - 2 * maxConnections - maxUdpSessions;
  return {
    ...limits,
    maxConnections,
    maxUdpSessions,
    maxWaiting: Math.min(shrink(limits.maxWaiting), Math.max(0, left)),
  };
}
