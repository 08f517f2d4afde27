/** An HTTP/1.1 server that no client can exhaust: everything that a client may take is limited. */
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { BallastError } from '../errors.ts';
import type { KeyPair } from './certificate.ts';

/** More than a scraper, the kubelet and a few people need; the rest is refused. */
const MOST_CONNECTIONS = 100;
/** So that one peer alone cannot keep the kubelet's probes out. */
const MOST_CONNECTIONS_OF_A_PEER = 32;
const MOST_HEADER_BYTES = 8 * 1024;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** A client that does not read its answer loses the connection. */
const IDLE_SOCKET_MS = 60_000;
/** How long answers may take to reach their readers once the end was asked for. */
const CLOSE_GRACE_MS = 1_000;
const OLDEST_TLS = 'TLSv1.2';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** A server that is not listening yet. */
export interface LimitedServer {
  readonly server: Server;
  /** Replaces the certificate for new connections. */
  readonly useKeyPair: (pair: KeyPair) => void;
}

/**
 * @param pair For TLS; plain HTTP without.
 * @param headersTimeoutMs How long a client may take for the TLS handshake, and to send the head of a request.
 */
export function createLimitedServer(
  onRequest: RequestListener,
  pair: KeyPair | undefined,
  headersTimeoutMs: number = HEADERS_TIMEOUT_MS,
): LimitedServer {
  const limits: ServerOptions = {
    maxHeaderSize: MOST_HEADER_BYTES,
    headersTimeout: headersTimeoutMs,
    requestTimeout: Math.max(REQUEST_TIMEOUT_MS, headersTimeoutMs),
    connectionsCheckingInterval: Math.min(1_000, headersTimeoutMs),
  };
  const tls: TlsServer | undefined =
    pair &&
    createTlsServer({ ...limits, ...pair, minVersion: OLDEST_TLS, handshakeTimeout: headersTimeoutMs }, onRequest);
  const server = tls ?? createServer(limits, onRequest);
  server.maxConnections = MOST_CONNECTIONS;
  server.setTimeout(IDLE_SOCKET_MS);
  limitPeers(server);
  return { server, useKeyPair: (next) => tls?.setSecureContext({ ...next, minVersion: OLDEST_TLS }) };
}

function limitPeers(server: Server): void {
  const counts = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const { remoteAddress: peer = '' } = socket;
    const count = (counts.get(peer) ?? 0) + 1;
    counts.set(peer, count);
    socket.once('close', () => {
      const left = (counts.get(peer) ?? 1) - 1;
      if (left === 0) counts.delete(peer);
      else counts.set(peer, left);
    });
    if (count > MOST_CONNECTIONS_OF_A_PEER) socket.destroy();
  });
}

/** Throws `ListenFailed`. */
export function listen(server: Server, host: string, port: number): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      const reason = error.code === 'EADDRINUSE' ? 'another process holds the port' : error.message;
      const message = `cannot serve metrics and health on ${host} port ${port}: ${reason}; choose another address or port with --metrics-bind-address`;
      reject(new BallastError('ListenFailed', message, { cause: error, field: '--metrics-bind-address' }));
    };
    server.once('error', onError);
    server.listen({ host, port }, () => {
      server.off('error', onError);
      const address = server.address();
      resolve({ host, port: typeof address === 'object' && address ? address.port : port });
    });
  });
}

/** No more connections; answers on their way may arrive. */
export function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
