import { BlockList, isIPv6 } from 'node:net';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** An IPv4 client's address in its one form, also where the kernel shows it as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2). */
export function clientAddress(address: string): string {
  return MAPPED.exec(address)?.[1] ?? address;
}

/** Whether a client may connect, for `spec.loadBalancerSourceRanges`; without ranges everyone may. */
export class SourceRanges {
  readonly #list: BlockList | undefined;

  /** `ranges` are canonical CIDRs. */
  constructor(ranges: readonly string[]) {
    if (ranges.length === 0) return;
    this.#list = new BlockList();
    for (const range of ranges) {
      const [network = '', prefix = ''] = range.split('/');
      this.#list.addSubnet(network, Number(prefix), isIPv6(network) ? 'ipv6' : 'ipv4');
    }
  }

  allows(client: string): boolean {
    const address = clientAddress(client).split('%')[0] ?? '';
    return this.#list === undefined || this.#list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}
