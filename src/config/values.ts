/** The values that have an inner form of their own. Every reader gives undefined for what it cannot read. */
import { isIP } from 'node:net';
import type { AddressGrant } from '../loadbalancer/address-grant.ts';
import { parseIpRange, type IpRange } from '../loadbalancer/ip-range.ts';

/** Both ends included. */
export interface PortRange {
  readonly min: number;
  readonly max: number;
}

export interface BindAddress {
  /** An IP address or `localhost`; undefined for every address of the machine. */
  readonly host: string | undefined;
  readonly port: number;
}

/** `30000-32767`. */
export function parsePortRange(text: string): PortRange | undefined {
  const [, minText = '', maxText = ''] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  const [min, max] = [Number(minText), Number(maxText)];
  return min >= 1 && min <= max && max <= 65_535 ? { min, max } : undefined;
}

/**
 * `127.0.0.1:10270`, `[fd00::1]:10270`, `:10270`. The port is what follows the last colon, so that `fd00::1:10270`,
 * which `$(POD_IP):10270` becomes in an IPv6 cluster, is understood as well. `none` for `0`.
 */
export function parseBindAddress(text: string): BindAddress | 'none' | undefined {
  if (text === '0') return 'none';
  const [, hostText = '', portText = ''] = /^(.*):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(portText);
  if (portText === '' || port > 65_535) return undefined;
  if (hostText === '') return { host: undefined, port };
  const host = /^\[(.*)\]$/.exec(hostText)?.[1] ?? hostText;
  return isIP(host) !== 0 || host === 'localhost' ? { host, port } : undefined;
}

/** A label-style identifier, with or without a prefix, as the API server wants `spec.loadBalancerClass` to be. */
const CLASS =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** A further class, and the provider that takes it. */
export interface ClassRule {
  readonly className: string;
  readonly provider: string;
}

/** `example.com/internal=proxy`. */
export function parseClass(entry: string): ClassRule | undefined {
  const [className = '', provider, ...rest] = entry.split('=');
  return provider && rest.length === 0 && CLASS.test(className) ? { className, provider } : undefined;
}

/** RFC 1123 label, as Kubernetes names namespaces. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export function isLabel(text: string): boolean {
  return LABEL.test(text);
}

/** Dot-separated labels, as Kubernetes names most objects (RFC 1123 subdomain). */
export function isSubdomain(text: string): boolean {
  return text.length <= 253 && text.split('.').every((label) => LABEL.test(label));
}

/** A group, as `<namespace>/<name>`, and the other namespaces whose Services may join it. */
export interface GroupRule {
  readonly group: string;
  readonly namespaces: readonly string[] | '*';
}

/** `infra/web=shop,blog`, or `infra/web=*`. */
export function parseGroupRule(entry: string): GroupRule | undefined {
  const [group = '', list, ...rest] = entry.split('=');
  const parts = group.split('/');
  if (list === undefined || rest.length > 0 || parts.length !== 2 || !parts.every(isLabel)) return undefined;
  const namespaces = readNamespaces(list);
  return namespaces && { group, namespaces };
}

/** `192.0.2.10=shop`, `192.0.2.0/28=shop,blog`, `fd00::1-fd00::9=*`, `*=*`. */
export function parseAddressGrant(entry: string): AddressGrant | undefined {
  const [where = '', list, ...rest] = entry.split('=');
  if (list === undefined || rest.length > 0) return undefined;
  const addresses = where.trim() === '*' ? '*' : parseAddresses(where);
  const namespaces = readNamespaces(list);
  return addresses && namespaces && { addresses, namespaces };
}

/** An address, `first-last`, or a CIDR. */
export function parseAddresses(text: string): IpRange | undefined {
  try {
    return parseIpRange(text);
  } catch {
    return undefined;
  }
}

function readNamespaces(list: string): readonly string[] | '*' | undefined {
  if (list.trim() === '*') return '*';
  const namespaces = list.split(',').map((name) => name.trim());
  return namespaces.every(isLabel) ? namespaces : undefined;
}
