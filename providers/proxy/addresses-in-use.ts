/** Which addresses of this machine some process has a socket at, by what Linux tells (`proc_net(5)`). */
import { readFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import { formatIp } from '#src/loadbalancer/ip';

/** The addresses at which some living process has a socket. */
export type AddressesInUse = () => Promise<ReadonlySet<string>>;

const TABLES = ['tcp', 'tcp6', 'udp', 'udp6'];

/** Of this process's network namespace; empty where there is no such file. */
export const addressesInUse: AddressesInUse = async () => {
  const texts = await Promise.all(TABLES.map((table) => readFile(`/proc/net/${table}`, 'utf8').catch(() => '')));
  return new Set(texts.flatMap(parseSockets));
};

/** Local addresses of the sockets in a table that belong to somebody; what the kernel only winds up has no inode. */
export function parseSockets(text: string): readonly string[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , , , , , , , inode = '0'] = line.trim().split(/\s+/);
      const address = parseAddress(local.split(':')[0] ?? '');
      return inode === '0' || address === undefined ? [] : [address];
    });
}

/** 32-bit words in hexadecimal, each in the order of bytes of this machine. */
function parseAddress(hex: string): string | undefined {
  if (!/^([0-9A-F]{8}|[0-9A-F]{32})$/i.test(hex)) return undefined;
  const bytes = Buffer.from(hex, 'hex');
  if (endianness() === 'LE') bytes.swap32();
  const value = BigInt(`0x${bytes.toString('hex')}`);
  if (bytes.length === 4) return formatIp('IPv4', value);
  return value >> 32n === 0xffffn ? formatIp('IPv4', value & 0xffff_ffffn) : formatIp('IPv6', value);
}
