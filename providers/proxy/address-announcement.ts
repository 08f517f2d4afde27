/** Tells the neighbours that an IPv4 address has come to this machine. */
import { createSocket } from 'node:dgram';
import { formatIp, parseIp } from '#src/loadbalancer/ip';

/** Makes neighbours learn where `address` is now; `local` are this machine's addresses. Never fails, and ends by itself. */
export type Announce = (address: string, local: ReadonlySet<string>) => void;

/** RFC 863: what is sent there is thrown away. */
const DISCARD_PORT = 9;
/** One might be somebody whom this machine knows already. */
const STRANGERS = 3;
/** How far from the address they are looked for: in the smaller half of a /24. */
const MOST_DISTANCE = 127n;

/**
 * Neighbours keep the old machine's hardware address for up to a minute when it died. A gratuitous ARP takes a raw
 * socket; but before the kernel can send a datagram to a neighbour that it does not know, it broadcasts an ARP request
 * in the name of the datagram's source, and everyone who has an entry for that source corrects it (RFC 826, "Packet
 * Reception"). So: an empty datagram from the address to others beside it. The kernel asks three times, a second apart.
 * Does nothing for IPv6, and nothing where `arp_announce` makes requests carry the machine's own address.
 */
export const announceByArp: Announce = (address, local) => {
  const strangers = strangersBeside(address, local);
  if (strangers.length === 0) return;
  const socket = createSocket('udp4');
  let left = strangers.length;
  // What cannot be sent (to a broadcast address, without a route) is one hint less.
  const onSent = (): void => {
    left -= 1;
    if (left === 0) socket.close();
  };
  socket.on('error', () => socket.close());
  socket.bind({ address, port: 0 }, () => {
    for (const stranger of strangers) socket.send('', DISCARD_PORT, stranger, onSent);
  });
};

/** Addresses of the same network that are not on this machine, the nearest first. */
export function strangersBeside(address: string, local: ReadonlySet<string>): readonly string[] {
  const parsed = parseIp(address);
  const strangers: string[] = [];
  if (parsed?.family !== 'IPv4') return strangers;
  for (let distance = 1n; distance <= MOST_DISTANCE && strangers.length < STRANGERS; distance += 1n) {
    // Differs in the lowest bits only, so it lies in every network that the address lies in and that is large enough.
    const candidate = formatIp('IPv4', parsed.value ^ distance);
    if (!local.has(candidate)) strangers.push(candidate);
  }
  return strangers;
}
