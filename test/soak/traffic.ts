/** Sends real connections and datagrams through every port, and sees where they arrive. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { BlockList, connect, createServer, type Server } from 'node:net';
import type { ExpectedSocket, World } from './oracle/world.ts';
import type { Site } from './site.ts';

const TIMEOUT_MS = 10_000;
/** How long silence must last to count as silence. */
const SILENCE_MS = 300;
const RESEND_MS = 200;

/** Complaints about traffic that does not arrive where it must, or arrives where it must not. */
export async function checkTraffic(
  sockets: readonly ExpectedSocket[],
  { nodes }: World,
  site: Site,
): Promise<readonly string[]> {
  await using backends = new Backends();
  for (const { protocol, nodePort } of sockets) {
    for (const { metadata, status } of nodes) {
      const address = status?.addresses?.[0]?.address;
      if (address !== undefined) await backends.open(metadata.name, address, nodePort, protocol);
    }
  }
  const results = await Promise.all(sockets.flatMap((socket) => visitsOf(socket, site).map((visit) => pay(visit))));
  return results.flat();
}

interface Visit {
  readonly socket: ExpectedSocket;
  /** The client's own address. */
  readonly from: string;
  readonly allowed: boolean;
}

function visitsOf(socket: ExpectedSocket, site: Site): readonly Visit[] {
  const sources = socket.address.includes(':') ? [socket.address] : [site.client(true), site.client(false)];
  return sources.map((from) => ({ socket, from, allowed: isAllowed(from, socket.ranges) }));
}

function isAllowed(address: string, ranges: readonly string[]): boolean {
  if (ranges.length === 0) return true;
  const familyOf = (text: string): 'ipv4' | 'ipv6' => (text.includes(':') ? 'ipv6' : 'ipv4');
  return ranges.some((range) => {
    const [network = '', prefix = ''] = range.split('/');
    if (familyOf(network) !== familyOf(address)) return false;
    const list = new BlockList();
    list.addSubnet(network, Number(prefix), familyOf(network));
    return list.check(address, familyOf(address));
  });
}

async function pay({ socket, from, allowed }: Visit): Promise<readonly string[]> {
  const { service, nodes, nodePort, protocol } = socket;
  const waitMs = allowed && nodes.length > 0 ? TIMEOUT_MS : SILENCE_MS;
  const answer = protocol === 'TCP' ? await overTcp(socket, from, waitMs) : await overUdp(socket, from, waitMs);
  const rights = allowed ? nodes.map((node) => `${node} ${nodePort}`) : [''];
  // Without a node there is nobody to answer, and how it fails is the proxy's affair.
  if (rights.includes(answer) || (allowed && nodes.length === 0 && answer === '')) return [];
  const where = `from ${from} to ${socket.socket} (${service})`;
  return [`Traffic ${where} came to "${answer}"; right is ${rights.map((right) => `"${right}"`).join(' or ')}.`];
}

async function overTcp({ address, port }: ExpectedSocket, from: string, waitMs: number): Promise<string> {
  const client = connect({ host: address, port, localAddress: from });
  let text = '';
  client.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  // A reset is an answer like any other: nothing came.
  client.on('error', () => {});
  client.setTimeout(waitMs, () => client.destroy());
  await new Promise((resolve) => client.once('close', resolve));
  return text;
}

async function overUdp({ address, port }: ExpectedSocket, from: string, waitMs: number): Promise<string> {
  const client = createSocket(address.includes(':') ? 'udp6' : 'udp4').on('error', () => {});
  client.bind(0, from);
  await once(client, 'listening');
  // Datagrams may be lost, even here: the socket that they come to may have just been opened.
  const send = (): void => client.send('soak', port, address);
  const again = setInterval(send, RESEND_MS);
  send();
  try {
    const [message]: unknown[] = await once(client, 'message', { signal: AbortSignal.timeout(waitMs) });
    return Buffer.isBuffer(message) ? message.toString() : '';
  } catch {
    return '';
  } finally {
    clearInterval(again);
    client.close();
  }
}

/** Stand for kube-proxy on the nodes: each says which node and NodePort it is. */
class Backends implements AsyncDisposable {
  readonly #servers = new Map<string, Server | UdpSocket>();

  async open(node: string, address: string, port: number, protocol: 'TCP' | 'UDP'): Promise<void> {
    const key = `${address}:${port}/${protocol}`;
    if (this.#servers.has(key)) return;
    const text = `${node} ${port}`;
    if (protocol === 'TCP') {
      const server = createServer((socket) => socket.on('error', () => {}).end(text)).listen(port, address);
      this.#servers.set(key, server);
      await once(server, 'listening');
    } else {
      const server = createSocket('udp4');
      server.on('message', (_, { port: clientPort, address: client }) => server.send(text, clientPort, client));
      this.#servers.set(key, server);
      server.bind(port, address);
      await once(server, 'listening');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...this.#servers.values()].map((server) => new Promise<void>((done) => void server.close(() => done()))),
    );
  }
}
