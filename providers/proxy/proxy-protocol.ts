import { isIPv4 } from 'node:net';
import { parseIp } from '#src/loadbalancer/ip';

const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
/** Version 2, command PROXY. */
const VERSION_AND_COMMAND = 0x21;
/** AF_INET or AF_INET6, each with STREAM. */
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;

/** The two ends of the client's connection; both addresses are of the same family. */
export interface ProxiedConnection {
  readonly clientAddress: string;
  readonly clientPort: number;
  /** The load balancer's own address and port, to which the client connected. */
  readonly address: string;
  readonly port: number;
}

/** The PROXY protocol header of version 2, without TLVs (haproxy's proxy-protocol.txt, 2.2). */
export function proxyHeader({ clientAddress, clientPort, address, port }: ProxiedConnection): Buffer {
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(clientPort, 0);
  ports.writeUInt16BE(port, 2);
  const body = Buffer.concat([addressBytes(clientAddress), addressBytes(address), ports]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length);
  const family = isIPv4(address) ? TCP_OVER_IPV4 : TCP_OVER_IPV6;
  return Buffer.concat([SIGNATURE, Buffer.from([VERSION_AND_COMMAND, family]), length, body]);
}

/** 4 or 16 bytes in network order. */
function addressBytes(text: string): Buffer {
  const parsed = parseIp(text.split('%')[0] ?? '');
  if (!parsed) throw new TypeError(`not an IP address: ${text}`);
  return Buffer.from(parsed.value.toString(16).padStart(parsed.family === 'IPv4' ? 8 : 32, '0'), 'hex');
}
