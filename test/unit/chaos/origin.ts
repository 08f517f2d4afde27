import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A server for the proxy to stand in front of. */
export interface Origin extends AsyncDisposable {
  readonly url: string;
  /** `METHOD /path` of every request that arrived whole. */
  readonly arrived: readonly string[];
}

/** Answers with `answer`, or by repeating what was sent. */
export async function startOrigin(
  answer: (response: ServerResponse, request: IncomingMessage, body: string) => void = echo,
): Promise<Origin> {
  const arrived: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      arrived.push(`${request.method} ${request.url}`);
      answer(response, request, Buffer.concat(chunks).toString('utf8'));
    });
  });
  server.on('connection', (socket) => sockets.add(socket.once('close', () => sockets.delete(socket))));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port }: Pick<AddressInfo, 'port'> = portOf(server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    arrived,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function portOf(address: AddressInfo | string | null): AddressInfo {
  if (address === null || typeof address === 'string') throw new Error('the server does not listen');
  return address;
}

function echo(response: ServerResponse, { method }: IncomingMessage, body: string): void {
  response.writeHead(200, { 'content-type': 'text/plain' }).end(`${method} ${body}`);
}
