/** Which addresses of a node traffic may be sent to: whoever may write a Node's status must not aim us at anything. */
import { formatIp, type IpAddress } from './ip.ts';
import { cidrRange, rangeContains, type IpRange } from './ip-range.ts';

/** What no node has for other machines to reach it at, as kubelet itself refuses it (`validateNodeIP`). */
const SPECIAL: readonly (readonly [range: IpRange, what: string])[] = (
  [
    ['0.0.0.0/8', 'unspecified'],
    ['127.0.0.0/8', 'a loopback address'],
    ['169.254.0.0/16', 'link-local'],
    ['224.0.0.0/3', 'multicast or reserved'],
    ['::/128', 'unspecified'],
    ['::1/128', 'a loopback address'],
    ['fe80::/10', 'link-local'],
    ['ff00::/8', 'multicast'],
  ] as const
).map(([cidr, what]) => [cidrRange(cidr), what]);

const MAPPED = cidrRange('::ffff:0:0/96');

/**
 * Why nothing may be sent to this InternalIP, to follow it in a sentence; undefined when it may.
 * @param allowed The only ranges that nodes are in; with none, every address but the special ones.
 */
export function nodeAddressProblem(address: IpAddress, allowed: readonly IpRange[]): string | undefined {
  const real = unmapped(address);
  if (allowed.length > 0) {
    return allowed.some((range) => rangeContains(range, real)) ? undefined : 'is not in --node-addresses';
  }
  const [, what] = SPECIAL.find(([range]) => rangeContains(range, real)) ?? [];
  return what === undefined ? undefined : `is ${what}`;
}

/** An IPv4-mapped address (RFC 4291, section 2.5.5.2) reaches the IPv4 one. */
function unmapped(address: IpAddress): IpAddress {
  if (!rangeContains(MAPPED, address)) return address;
  const value = address.value & 0xffff_ffffn;
  return { family: 'IPv4', value, text: formatIp('IPv4', value) };
}
