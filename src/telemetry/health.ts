import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { BallastError } from '../errors.ts';
import { runChecks, type Check } from './checks.ts';
import { answerJson, type JsonHandler } from './jsonroute.ts';
import type { Log } from './log.ts';

export interface HealthServerOptions {
  /** An address of this machine; 127.0.0.1 by default. */
  readonly host?: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly registry: Registry;
  readonly log: Log;
  /** What `/healthz` looks at: failing means that a restart would help. None by default. */
  readonly live?: () => readonly Check[];
  /** What `/readyz` looks at: failing means that nothing should be expected of this process now. None by default. */
  readonly ready?: () => readonly Check[];
  /** How long a route may take to answer; 30 s by default. */
  readonly answerTimeoutMs?: number;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

type Route = (query: URLSearchParams, signal: AbortSignal) => Promise<Answer>;

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

/** More than a scraper, the kubelet and a few people need; the rest is refused. */
const MOST_CONNECTIONS = 100;
const MOST_HEADER_BYTES = 8 * 1024;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** A client that does not read its answer loses the connection. */
const IDLE_SOCKET_MS = 60_000;
const ANSWER_TIMEOUT_MS = 30_000;
/** How long answers may take to reach their readers once the end was asked for. */
const CLOSE_GRACE_MS = 1_000;

/**
 * Serves `/metrics`, `/healthz`, `/readyz` and read-only JSON routes over HTTP/1.1: GET and HEAD without a body only.
 * `?verbose` lists the checks as the API server does; a failure always lists them, with 500 (health) or 503 (ready).
 */
export class HealthServer {
  readonly name = 'health';
  readonly #options: HealthServerOptions;
  readonly #routes = new Map<string, Route>();
  readonly #listening = Promise.withResolvers<ListenAddress>();

  constructor(options: HealthServerOptions) {
    this.#options = options;
    const { registry, live = () => [], ready = () => [] } = options;
    this.#listening.promise.catch(() => {}); // `start` reports it; nobody needs to look here.
    this.#routes.set('/metrics', async () => ({
      status: 200,
      type: registry.contentType,
      body: await registry.metrics(),
    }));
    this.#routes.set('/healthz', checksRoute('healthz', live, 500));
    this.#routes.set('/readyz', checksRoute('readyz', ready, 503));
  }

  /** Where the server listens, once `start` has got that far; rejects when it cannot listen. */
  get listening(): Promise<ListenAddress> {
    return this.#listening.promise;
  }

  /** Answers GET `path` with JSON. Throws when the path is taken. */
  route(path: string, handler: JsonHandler): void {
    if (this.#routes.has(path)) throw new Error(`the route ${path} exists already`);
    this.#routes.set(path, async (query, signal) => {
      const { status, body } = await answerJson(handler, query, signal, this.#options.log);
      return { status, type: JSON_TYPE, body };
    });
  }

  /** Serves until the signal aborts and resolves when every connection is closed. Throws `ListenFailed`. */
  async start(signal: AbortSignal): Promise<void> {
    const server = createServer(
      {
        maxHeaderSize: MOST_HEADER_BYTES,
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: 1_000,
      },
      (request, response) => {
        void this.#serve(request, response, signal);
      },
    );
    server.maxConnections = MOST_CONNECTIONS;
    server.setTimeout(IDLE_SOCKET_MS);
    try {
      const address = await listen(server, this.#options.host ?? '127.0.0.1', this.#options.port);
      this.#listening.resolve(address);
      server.on('error', (error) => this.#options.log.warn({ error }, 'a connection could not be taken'));
      this.#options.log.info(address, 'serving metrics and health');
    } catch (error) {
      this.#listening.reject(error);
      throw error;
    }
    if (!signal.aborted) await once(signal, 'abort');
    await close(server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse, stop: AbortSignal): Promise<void> {
    const signal = requestSignal(response, stop, this.#options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS);
    let answer: Answer;
    try {
      answer = await this.#answer(request, signal);
    } catch (error) {
      this.#options.log.error({ error, path: request.url }, 'a request failed');
      answer = plain(500, 'internal error; the log has more');
    }
    const { status, type, body, headers } = answer;
    response.writeHead(status, {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...headers,
    });
    response.end(body);
  }

  async #answer(request: IncomingMessage, signal: AbortSignal): Promise<Answer> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return { ...plain(405, 'only GET and HEAD'), headers: { allow: 'GET, HEAD', connection: 'close' } };
    }
    if (request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0) {
      return { ...plain(413, 'a request may not have a body'), headers: { connection: 'close' } };
    }
    const url = URL.parse(request.url ?? '', 'http://localhost');
    if (!url) return plain(400, 'this is no URL');
    const route = this.#routes.get(url.pathname);
    if (!route) return plain(404, `nothing here; there is ${[...this.#routes.keys()].join(', ')}`);
    return route(url.searchParams, signal);
  }
}

function checksRoute(endpoint: string, checks: () => readonly Check[], failed: number): Route {
  return async (query) => {
    const { ok, text } = runChecks(endpoint, checks());
    if (ok && !query.has('verbose')) return plain(200, 'ok');
    return { status: ok ? 200 : failed, type: TEXT, body: text };
  };
}

function plain(status: number, text: string): Answer {
  return { status, type: TEXT, body: `${text}\n` };
}

function listen(server: Server, host: string, port: number): Promise<ListenAddress> {
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

/** Aborts when the time for the answer is over, the server ends, or the connection closes. */
function requestSignal(response: ServerResponse, stop: AbortSignal, timeoutMs: number): AbortSignal {
  const request = new AbortController();
  const onStop = (): void => request.abort();
  const timer = setTimeout(onStop, timeoutMs);
  stop.addEventListener('abort', onStop, { once: true });
  response.once('close', () => {
    clearTimeout(timer);
    stop.removeEventListener('abort', onStop);
    request.abort();
  });
  return request.signal;
}

/** No more connections; answers on their way may arrive. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
