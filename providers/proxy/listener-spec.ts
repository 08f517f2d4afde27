import { isDeepStrictEqual } from 'node:util';
import type { Algorithm, IpFamily, Listener, Member } from '#src/loadbalancer/model';
import type { ProxyOptions } from './options.ts';

/** How a listener treats its connections or sessions; times in milliseconds. */
export interface ListenerSettings {
  readonly algorithm: Algorithm;
  /** Whether TCP targets get a PROXY protocol v2 header. */
  readonly proxyProtocol: boolean;
  readonly idleTimeoutMs: number;
  /** Undefined: only the limit over all listeners counts. */
  readonly maxConnections: number | undefined;
  readonly drainTimeoutMs: number;
  /** How long a client keeps its node; undefined for not at all. */
  readonly affinityMs: number | undefined;
  /** CIDRs; empty for everyone. */
  readonly sourceRanges: readonly string[];
}

/** Everything that one socket needs to know: where it listens, for whom, and how it treats its clients. */
export interface ListenerSpec {
  readonly address: string;
  readonly family: IpFamily;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
  /** UID of the member whose targets it sends to. */
  readonly member: string;
  /** 0 where nothing listens, and so nothing is sent. */
  readonly nodePort: number;
  readonly settings: ListenerSettings;
}

/** Where a listener is, without what it does. */
export type Endpoint = Pick<ListenerSpec, 'address' | 'family' | 'port' | 'protocol'>;

/** `192.0.2.1:80/TCP` or `[fd00::1]:80/TCP`; no two sockets have the same. */
export function endpointKey({ address, port, protocol }: Endpoint): string {
  return keyAt(address, `${port}/${protocol}`);
}

/** The same of an address and `80/TCP`. */
export function keyAt(address: string, port: string): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** A member's settings, with the provider's defaults where it has none. */
export function listenerSettings(
  member: Member,
  protocol: Listener['protocol'],
  options: ProxyOptions,
): ListenerSettings {
  const { settings, affinitySeconds } = member;
  const silent = protocol === 'UDP' ? options.udpIdleTimeoutMs : options.idleTimeoutMs;
  return {
    algorithm: settings.algorithm ?? options.algorithm,
    proxyProtocol: settings.proxyProtocol === 'v2' && protocol === 'TCP',
    idleTimeoutMs: settings.idleTimeoutSeconds === undefined ? silent : settings.idleTimeoutSeconds * 1_000,
    maxConnections: settings.maxConnections,
    drainTimeoutMs:
      settings.drainTimeoutSeconds === undefined ? options.drainTimeoutMs : settings.drainTimeoutSeconds * 1_000,
    affinityMs: affinitySeconds === undefined ? undefined : affinitySeconds * 1_000,
    sourceRanges: member.sourceRanges,
  };
}

/** Whether closing the listener lets its connections go in their own time. */
export function drains({ protocol, settings }: ListenerSpec): boolean {
  return protocol === 'TCP' && settings.drainTimeoutMs > 0;
}

export function sameSpec(a: ListenerSpec, b: ListenerSpec): boolean {
  return isDeepStrictEqual(a, b);
}

/** What differs, for a person; empty when nothing does. */
export function specChanges(from: ListenerSpec, to: ListenerSpec): readonly string[] {
  const changes: string[] = [];
  if (from.member !== to.member) changes.push('member');
  if (from.nodePort !== to.nodePort) changes.push(`NodePort ${from.nodePort} → ${to.nodePort}`);
  const names: Readonly<Record<keyof ListenerSettings, string>> = {
    algorithm: 'algorithm',
    proxyProtocol: 'PROXY protocol',
    idleTimeoutMs: 'idle timeout',
    maxConnections: 'limit of connections',
    drainTimeoutMs: 'drain timeout',
    affinityMs: 'session affinity',
    sourceRanges: 'source ranges',
  };
  for (const key of [
    'algorithm',
    'proxyProtocol',
    'idleTimeoutMs',
    'maxConnections',
    'drainTimeoutMs',
    'affinityMs',
    'sourceRanges',
  ] as const) {
    if (!isDeepStrictEqual(from.settings[key], to.settings[key])) changes.push(names[key]);
  }
  return changes;
}
