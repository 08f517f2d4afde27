import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

/** Datagrams that may wait in one socket's queue, in bytes; beyond that they are dropped, as a network would. */
export const MOST_QUEUED_BYTES = 1_048_576;

/** A socket that is only ever given IP addresses, so that no datagram has to wait for a name to be looked up. */
export function udpSocket(address: string): Socket {
  return createSocket({
    type: isIPv6(address) ? 'udp6' : 'udp4',
    ipv6Only: isIPv6(address),
    lookup: (host, _options, callback) => callback(null, host, isIPv6(host) ? 6 : 4),
  });
}
