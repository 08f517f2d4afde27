import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import type { MemberOptions } from '#test/fakes/builders';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import { NODE_PORT, nodesOf, type Cleanup } from './rig.ts';

/** A UDP socket of a client or a node, with everything that it has received. */
export interface UdpEnd {
  readonly socket: Socket;
  readonly address: string;
  readonly port: number;
  readonly received: string[];
  readonly senders: RemoteInfo[];
  send(text: string, host: string, port: number): void;
  /** The next datagram; rejects when none comes in time, by default 20 s. */
  next(withinMs?: number): Promise<string>;
}

export async function bindUdp(cleanup: Cleanup, address: string, port = 0): Promise<UdpEnd> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  socket.bind(port, address);
  await once(socket, 'listening');
  let isOpen = true;
  socket.on('close', () => (isOpen = false));
  cleanup.add(() => {
    if (isOpen) socket.close();
  });
  const received: string[] = [];
  const senders: RemoteInfo[] = [];
  let taken = 0;
  socket.on('message', (datagram, from) => {
    received.push(datagram.toString());
    senders.push(from);
  });
  return {
    socket,
    address,
    port: socket.address().port,
    received,
    senders,
    send: (text, host, to) => socket.send(text, to, host),
    async next(withinMs = 20_000) {
      if (received.length === taken) await once(socket, 'message', { signal: AbortSignal.timeout(withinMs) });
      return received[taken++] ?? '';
    },
  };
}

/** A node that answers every datagram with its name and what it heard. */
export async function bindEcho(
  cleanup: Cleanup,
  name: string,
  address: string,
  port: number = NODE_PORT,
): Promise<UdpEnd> {
  const end = await bindUdp(cleanup, address, port);
  end.socket.on('message', (datagram, from) =>
    end.socket.send(`${name} heard ${datagram.toString()}`, from.port, from.address),
  );
  return end;
}

/** A Service with 53/UDP. */
export function dns(
  nodes: readonly { readonly name: string; readonly address: string }[],
  options: MemberOptions = {},
): DesiredLoadBalancer {
  const members = [
    member({ name: 'dns', listeners: [{ port: 5_353, protocol: 'UDP', nodePort: NODE_PORT }], ...options }),
  ];
  return desiredLoadBalancer({ members, nodes: nodesOf(nodes) });
}
