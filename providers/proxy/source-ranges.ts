import { BlockList, isIPv6 } from 'node:net';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** An IPv4 client's address in its one form, also where the kernel shows it as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2). */
export function clientAddress(address: string): string {
  return MAPPED.exec(address)?.[1] ?? address;
}

/** Whether a client may connect, for `spec.loadBalancerSourceRanges`; without ranges everyone may. */
export class SourceRanges {
  /** By family: one list of both would find every IPv4 address in `::/0`. */
  readonly #lists: Readonly<Record<'ipv4' | 'ipv6', BlockList>> | undefined;

  /** `ranges` are canonical CIDRs. */
  constructor(ranges: readonly string[]) {
    if (ranges.length === 0) return;
    this.#lists = { ipv4: new BlockList(), ipv6: new BlockList() };
    for (const range of ranges) {
      const [network = '', prefix = ''] = range.split('/');
      const family = familyOf(network);
      this.#lists[family].addSubnet(network, Number(prefix), family);
    }
  }

  allows(client: string): boolean {
    const address = clientAddress(client).split('%')[0] ?? '';
    const family = familyOf(address);
    return this.#lists === undefined || this.#lists[family].check(address, family);
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}
