import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Registry } from 'prom-client';
import type { ClusterAccess } from '#src/kube/access';
import { KubeClient, type KubeClientOptions } from '#src/kube/client';
import { registerKubeMetrics, type KubeMetrics } from '#src/kube/metrics';

/** A request as it arrived. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export type Handler = (request: Received, response: ServerResponse) => void;

/** An HTTP server on 127.0.0.1 that plays an API server, with all its faults. */
export class Loopback implements AsyncDisposable {
  readonly requests: Received[] = [];
  readonly sockets: Set<Socket> = new Set();
  /** Connections that were ever made. */
  connections = 0;
  handler: Handler;
  readonly #server: Server;
  readonly #waiters: (() => void)[] = [];

  private constructor(server: Server, handler: Handler) {
    this.#server = server;
    this.handler = handler;
    server.on('connection', (socket) => {
      this.connections += 1;
      this.sockets.add(socket);
      socket.on('close', () => {
        this.sockets.delete(socket);
        this.#changed();
      });
    });
    server.on('request', (request, response) => void this.#receive(request, response));
  }

  static async start(handler: Handler): Promise<Loopback> {
    const server = createServer();
    const loopback = new Loopback(server, handler);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return loopback;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the server does not listen');
    return `http://127.0.0.1:${address.port}`;
  }

  /** Resolves when the condition holds; it is looked at after every request and closed connection. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
    const url = new URL(request.url ?? '/', 'http://server');
    const { method = '', headers } = request;
    const received = { method, path: url.pathname, query: url.searchParams, headers, body };
    this.requests.push(received);
    this.handler(received, response);
    this.#changed();
  }

  #changed(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}

/** Answers with JSON. */
export function reply(response: ServerResponse, status: number, body: unknown, headers: object = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** Answers with a Status, as the API server refuses. */
export function refuse(response: ServerResponse, code: number, reason: string, headers: object = {}): void {
  reply(response, code, { kind: 'Status', status: 'Failure', code, reason, message: `${reason}!` }, headers);
}

/** Begins the answer to a watch and writes events, one a line; the answer stays open. */
export function stream(response: ServerResponse, ...events: readonly object[]): void {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  for (const event of events) response.write(`${JSON.stringify(event)}\n`);
}

export function accessTo(server: string, headers: Record<string, string> = {}): ClusterAccess {
  return {
    server,
    description: 'a test',
    namespace: undefined,
    proxyUrl: undefined,
    credentials: async () => ({ headers, tls: {} }),
  };
}

export interface TestClient extends AsyncDisposable {
  readonly client: KubeClient;
  readonly metrics: KubeMetrics;
  readonly registry: Registry;
}

export function createClient(server: Loopback, options: Partial<KubeClientOptions> = {}): TestClient {
  const registry = new Registry();
  const metrics = registerKubeMetrics(registry);
  const client = new KubeClient({ access: accessTo(server.url), metrics, version: '1.2.3', ...options });
  return { client, metrics, registry, [Symbol.asyncDispose]: () => client.close() };
}
