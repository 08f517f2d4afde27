import { BlockList, isIP } from 'node:net';
import { formatIp, parseIp } from '#src/loadbalancer/ip';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** An IPv4 client's address in its one form, also where the kernel shows it as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2). */
export function clientAddress(address: string): string {
  return MAPPED.exec(address)?.[1] ?? address;
}

/** Whether a client may connect, for `spec.loadBalancerSourceRanges`; without ranges everyone may. */
export class SourceRanges {
  /** By family: one list of both would find every IPv4 address in `::/0`. */
  readonly #lists: Readonly<Record<4 | 6, BlockList>> | undefined;

  /** `ranges` are canonical CIDRs. */
  constructor(ranges: readonly string[]) {
    if (ranges.length === 0) return;
    this.#lists = { 4: new BlockList(), 6: new BlockList() };
    for (const range of ranges) {
      const [network, prefix] = unmapped(range);
      const isIpv4 = !network.includes(':');
      this.#lists[isIpv4 ? 4 : 6].addSubnet(network, prefix, isIpv4 ? 'ipv4' : 'ipv6');
    }
  }

  /** False, too, for what is no address. */
  allows(client: string): boolean {
    if (this.#lists === undefined) return true;
    const [address] = unmapped(`${client.split('%')[0] ?? ''}/128`);
    switch (isIP(address)) {
      case 4:
        return this.#lists[4].check(address, 'ipv4');
      case 6:
        return this.#lists[6].check(address, 'ipv6');
      default:
        return false;
    }
  }
}

/** Network and prefix length; of IPv4-mapped addresses those of the IPv4 network that they mean. */
function unmapped(range: string): readonly [network: string, prefix: number] {
  const [network = '', prefix = ''] = range.split('/');
  const address = network.includes(':') && Number(prefix) >= 96 ? parseIp(network) : undefined;
  if (address?.family !== 'IPv6' || address.value >> 32n !== 0xffffn) return [network, Number(prefix)];
  return [formatIp('IPv4', address.value & 0xffff_ffffn), Number(prefix) - 96];
}
