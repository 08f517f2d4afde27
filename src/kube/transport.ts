import { Agent, ProxyAgent, request as send, type Dispatcher } from 'undici';
import { BallastError } from '../errors.ts';
import { sameTls, type ClusterAccess, type TlsMaterial } from './access.ts';
import { ApiError, apiErrorOf } from './apierror.ts';
import type { Availability } from './availability.ts';
import { withDeadline } from './deadline.ts';
import type { KubeMetrics } from './metrics.ts';
import { withoutCredentials } from './scrub.ts';

export interface TransportOptions {
  readonly access: ClusterAccess;
  readonly metrics: KubeMetrics;
  /** Told what becomes of each request. */
  readonly availability?: Pick<Availability, 'answered' | 'failed'>;
  /** Our version, for the User-Agent. */
  readonly version: string;
  /** For the TCP and TLS handshakes. Default: 5 s. */
  readonly connectTimeoutMs?: number;
  /** Most connections at once; further requests wait. A watch holds one for its whole life. Default: 32. */
  readonly connections?: number;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface ApiRequest {
  readonly method: Method;
  /** Below the server's base URL, with a leading slash. */
  readonly path: string;
  /** Entries that are undefined are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default: `application/json`. */
  readonly contentType?: string;
}

export interface CallOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

export interface StreamOptions {
  readonly signal: AbortSignal;
  /** How long the answer may take to begin. */
  readonly openTimeoutMs: number;
  /** How long the stream may be silent. A connection whose other end vanished is noticed by nothing else. */
  readonly inactivityMs: number;
}

/** Idle connections are closed before the API server (90 s) or a load balancer in front of it (from 60 s) does. */
const KEEP_ALIVE_MS = 30_000;

/**
 * HTTP to one API server over one pool of connections. Requests carry the credentials of the moment; when the TLS
 * material changes (a renewed client certificate, another CA), new requests take a new pool and the old one runs dry.
 *
 * Both ways to ask throw `ApiError` when the server refuses, a `BallastError` `ApiUnavailable` when it cannot be
 * reached, does not answer in time or breaks off, and the signal's reason when the caller gave up.
 */
export class Transport {
  readonly #options: TransportOptions;
  readonly #host: string;
  readonly #pools = new Set<Dispatcher>();
  #current: { readonly tls: TlsMaterial; readonly pool: Dispatcher } | undefined;
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#host = new URL(options.access.server).host;
  }

  /**
   * Sends a request and gives the parsed JSON of its answer. The API server is trusted to send what its API says; only
   * an answer that is no JSON at all fails.
   */
  async call<Result>(request: ApiRequest, options: CallOptions): Promise<Result> {
    const startedAt = performance.now();
    try {
      return await withDeadline(options, async (signal) => {
        const { body } = await this.#open(request, signal);
        const text = await body.text();
        return JSON.parse(text);
      });
    } catch (error) {
      throw this.#failure(request, error, options.signal);
    } finally {
      const seconds = (performance.now() - startedAt) / 1000;
      this.#options.metrics.requestDuration.observe({ host: this.#host, verb: request.method }, seconds);
    }
  }

  /** Sends a request and gives the bytes of its answer as they come. Ending the iteration closes the connection. */
  async *stream(request: ApiRequest, options: StreamOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const { signal, openTimeoutMs, inactivityMs } = options;
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal.reason);
    let guard: NodeJS.Timeout | undefined;
    try {
      signal.throwIfAborted();
      signal.addEventListener('abort', onAbort, { once: true });
      const { body } = await withDeadline({ signal, timeoutMs: openTimeoutMs }, () => this.#open(request, stop.signal));
      const silent = new Error(`nothing came for ${inactivityMs} ms`);
      // Runs only while we wait for the next bytes: a slow consumer is no silence of the server.
      guard = setTimeout(() => stop.abort(silent), inactivityMs);
      for await (const chunk of body) {
        clearTimeout(guard);
        yield chunk;
        guard = setTimeout(() => stop.abort(silent), inactivityMs);
      }
    } catch (error) {
      throw this.#failure(request, error, signal);
    } finally {
      clearTimeout(guard);
      signal.removeEventListener('abort', onAbort);
      stop.abort();
    }
  }

  /** Breaks all connections; requests under way fail. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#pools].map((pool) => pool.destroy()));
    this.#pools.clear();
  }

  async #open(request: ApiRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { access, metrics, version } = this.#options;
    const { method, body, contentType = 'application/json' } = request;
    let code = '<error>';
    try {
      const { headers, tls } = await access.credentials();
      signal.throwIfAborted();
      const response = await send(access.server + pathAndQuery(request), {
        dispatcher: this.#poolFor(tls),
        method,
        signal,
        headersTimeout: 0,
        bodyTimeout: 0,
        headers: {
          ...headers,
          accept: 'application/json',
          'user-agent': `ballast/${version}`,
          ...(body === undefined ? {} : { 'content-type': contentType }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      code = String(response.statusCode);
      if (response.statusCode === 401) access.refused?.();
      if (response.statusCode < 200 || response.statusCode > 299) {
        const retryAfter = response.headers['retry-after'];
        throw apiErrorOf({
          httpStatus: response.statusCode,
          body: withoutCredentials(await response.body.text(), { headers }),
          retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
          request: `${method} ${request.path}`,
        });
      }
      this.#options.availability?.answered();
      return response;
    } finally {
      metrics.requests.inc({ code, host: this.#host, method });
    }
  }

  #poolFor(tls: TlsMaterial): Dispatcher {
    if (this.#closed) throw new BallastError('ApiUnavailable', 'The client to the API server is closed.');
    if (this.#current && sameTls(this.#current.tls, tls)) return this.#current.pool;
    const old = this.#current?.pool;
    const forget = (): void => {
      if (old) this.#pools.delete(old);
    };
    old?.close().then(forget, forget);
    const pool = this.#createPool(tls);
    this.#pools.add(pool);
    this.#current = { tls, pool };
    return pool;
  }

  #createPool(tls: TlsMaterial): Dispatcher {
    const { access, connections = 32, connectTimeoutMs = 5_000 } = this.#options;
    // The kernel's probes find a peer that vanished within 40 s, also on a connection where only we listen.
    const probes = { keepAlive: true, keepAliveInitialDelay: 30_000, timeout: connectTimeoutMs };
    const pool = { connections, keepAliveTimeout: KEEP_ALIVE_MS, allowH2: false };
    if (access.proxyUrl === undefined) return new Agent({ ...pool, connect: { ...tls, ...probes } });
    return new ProxyAgent({ ...pool, uri: access.proxyUrl, requestTls: { ...tls, ...probes }, connect: probes });
  }

  /** What the caller gets to see: its own abort, a coded error, or `ApiUnavailable` for what broke on the way. */
  #failure(request: ApiRequest, error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    const { access, availability } = this.#options;
    if (error instanceof ApiError) {
      if (error.httpStatus === 429 || error.httpStatus >= 500) availability?.failed(error.retryAfterMs);
      else availability?.answered();
    }
    if (error instanceof BallastError) return error;
    availability?.failed();
    return new BallastError('ApiUnavailable', `${request.method} ${access.server}${request.path}: ${causeOf(error)}`, {
      cause: error,
    });
  }
}

function pathAndQuery({ path, query = {} }: ApiRequest): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
}

/** The innermost message that says something: an `AggregateError` of several addresses has none of its own. */
function causeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return causeOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  return error.message || error.name;
}
