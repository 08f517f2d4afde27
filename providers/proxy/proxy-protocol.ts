import { BallastError } from '#src/errors';
import { parseIp, type IpAddress } from '#src/loadbalancer/ip';

const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
/** Version 2, command PROXY. */
const VERSION_AND_COMMAND = 0x21;
/** AF_INET or AF_INET6, each with STREAM. */
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;

/** The two ends of the client's connection. */
export interface ProxiedConnection {
  readonly clientAddress: string;
  readonly clientPort: number;
  /** The load balancer's own address and port, to which the client connected. */
  readonly address: string;
  readonly port: number;
}

/**
 * The PROXY protocol header of version 2, without TLVs (haproxy's proxy-protocol.txt, 2.2). It has one family for both
 * ends: where they differ, the IPv4 one is written as IPv4-mapped (RFC 4291, 2.5.5.2).
 * @throws BallastError `Bug` when an end is no address and port.
 */
export function proxyHeader({ clientAddress, clientPort, address, port }: ProxiedConnection): Buffer {
  const ends = [addressOf(clientAddress), addressOf(address)];
  const isIpv4 = ends.every(({ family }) => family === 'IPv4');
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(checkedPort(clientPort), 0);
  ports.writeUInt16BE(checkedPort(port), 2);
  const body = Buffer.concat([...ends.map((end) => addressBytes(end, isIpv4 ? 4 : 16)), ports]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length);
  const family = isIpv4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6;
  return Buffer.concat([SIGNATURE, Buffer.from([VERSION_AND_COMMAND, family]), length, body]);
}

/** In network order. */
function addressBytes({ family, value }: IpAddress, size: 4 | 16): Buffer {
  const mapped = family === 'IPv4' && size === 16 ? value | (0xffffn << 32n) : value;
  return Buffer.from(mapped.toString(16).padStart(2 * size, '0'), 'hex');
}

/** Without its zone, which means something on this machine only. */
function addressOf(text: string): IpAddress {
  const parsed = parseIp(text.split('%')[0] ?? '');
  if (!parsed) throw new BallastError('Bug', `A connection has an end that is not an IP address: ${text}`);
  return parsed;
}

function checkedPort(port: number): number {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new BallastError('Bug', `A connection has an end that is not a port: ${port}`);
}
