import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { asksFromHere, bearerToken, type Authorize, type Verdict } from './authorization.ts';
import { followKeyPair, readKeyPair, type CertificateFiles } from './certificate.ts';
import { runChecks, type Check } from './checks.ts';
import { close, createLimitedServer, listen, type ListenAddress } from './httpserver.ts';
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
  /** How long a client may take to send the head of its request; 5 s by default. */
  readonly headersTimeoutMs?: number;
  /** Serves TLS by these files, which may be replaced meanwhile; plain HTTP without. */
  readonly tls?: CertificateFiles | undefined;
  /** How often the files are looked at; 10 s by default. */
  readonly tlsReloadMs?: number;
  /**
   * Decides about everything but `/healthz` and `/readyz`, by the token that comes along. Without it, everybody may
   * have `/metrics`, and the JSON routes, which tell what is in the cluster, answer this machine only.
   */
  readonly authorize?: Authorize | undefined;
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

const ANSWER_TIMEOUT_MS = 30_000;
const MOST_HEADERS = 64;
const METRICS_PATH = '/metrics';
/** The kubelet asks for these, and has no token. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

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
    this.#routes.set(METRICS_PATH, async () => ({
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

  /**
   * Serves until the signal aborts and resolves when every connection is closed.
   * @throws BallastError `ListenFailed`, or `InvalidConfig` when there is no certificate to serve with.
   */
  async start(signal: AbortSignal): Promise<void> {
    const { host = '127.0.0.1', port, tls, log, headersTimeoutMs, tlsReloadMs: reloadMs } = this.#options;
    try {
      const pair = tls && (await readKeyPair(tls));
      const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
        void this.#serve(request, response, signal);
      const { server, useKeyPair } = createLimitedServer(onRequest, pair, headersTimeoutMs);
      const address = await listen(server, host, port);
      this.#listening.resolve(address);
      server.on('error', (error) => log.warn({ error }, 'a connection could not be taken'));
      log.info({ ...address, tls: pair !== undefined }, 'serving metrics and health');
      const current = pair && tls && { files: tls, current: pair };
      await Promise.all([
        signal.aborted ? undefined : once(signal, 'abort'),
        current && followKeyPair({ ...current, log, signal, reloadMs, onChange: useKeyPair }),
      ]);
      await close(server);
    } catch (error) {
      this.#listening.reject(error);
      throw error;
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse, stop: AbortSignal): Promise<void> {
    const signal = requestSignal(response, stop, this.#options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS);
    let answer: Answer;
    try {
      answer = await this.#answer(request, signal);
    } catch (error) {
      this.#options.log.error({ error, path: request.url?.split('?')[0] }, 'a request failed');
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
    if (request.rawHeaders.length > 2 * MOST_HEADERS) {
      return { ...plain(431, `at most ${MOST_HEADERS} headers`), headers: { connection: 'close' } };
    }
    const url = URL.parse(request.url ?? '', 'http://localhost');
    if (!url) return plain(400, 'this is no URL');
    const route = this.#routes.get(url.pathname);
    if (!route) return plain(404, `nothing here; there is ${[...this.#routes.keys()].join(', ')}`);
    return (await this.#refusal(request, url.pathname, signal)) ?? route(url.searchParams, signal);
  }

  /** Why the asker does not get this; undefined when there is no reason. */
  async #refusal(request: IncomingMessage, path: string, signal: AbortSignal): Promise<Answer | undefined> {
    const { authorize } = this.#options;
    if (OPEN_PATHS.has(path)) return undefined;
    if (authorize) {
      const token = bearerToken(request);
      if (token === undefined) return refusalOf({ kind: 'unauthenticated' });
      return refusalOf(await authorize(token, reviewedPath(path), signal));
    }
    if (path === METRICS_PATH || asksFromHere(request)) return undefined;
    return plain(403, 'only for this machine; for others, run the controller with --metrics-auth=token');
  }
}

function checksRoute(endpoint: string, checks: () => readonly Check[], failed: number): Route {
  return async (query) => {
    const { ok, text } = runChecks(endpoint, checks());
    if (ok && !query.has('verbose')) return plain(200, 'ok');
    return { status: ok ? 200 : failed, type: TEXT, body: text };
  };
}

/**
 * The non-resource URL that stands for a path. Not the path itself for the JSON routes: Kubernetes lets every user get
 * `/api/*` (ClusterRole `system:discovery`).
 */
function reviewedPath(path: string): string {
  return path === METRICS_PATH ? path : `/ballast${path}`;
}

function refusalOf(verdict: Verdict): Answer | undefined {
  switch (verdict.kind) {
    case 'allowed':
      return undefined;
    case 'unauthenticated':
      return { ...plain(401, 'needs the token of a user of the cluster'), headers: { 'www-authenticate': 'Bearer' } };
    case 'forbidden':
      return plain(403, `${verdict.user} may not get this`);
    case 'busy':
      return { ...plain(429, 'too many tokens'), headers: { 'retry-after': String(verdict.retryAfterSeconds) } };
    default:
      return plain(503, `whether you may have this cannot be told now: ${verdict.why}`);
  }
}

function plain(status: number, text: string): Answer {
  return { status, type: TEXT, body: `${text}\n` };
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
