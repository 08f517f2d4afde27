/**
 * An HTTP reverse proxy that stands between a client and any HTTP or HTTPS server and does to single requests, or to
 * all of them, what networks and servers do on bad days. Answers stream through it unbuffered.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '#test/control-plane/free-port';
import { ByteCutter } from './byte-cutter.ts';
import type { Cut, Exchange, Fault, Rule } from './fault.ts';
import { Upstream } from './upstream.ts';

export { always, firstTimes, type Cut, type Exchange, type Fault, type Match, type Rule } from './fault.ts';

export interface FaultProxyOptions {
  /** `https://127.0.0.1:6443`; the path of a request is appended as it is. */
  readonly target: string;
  /** PEM of the authority that signed the target's certificate. */
  readonly ca?: string;
}

/** Runs at a point of an exchange, which goes on when it has resolved. */
export type Hook = (exchange: Exchange) => void | Promise<void>;

/** More exchanges than this are forgotten, oldest first. */
const REMEMBERED = 20_000;

/** Tries to find a port that nobody else takes at the same moment. */
const LISTEN_ATTEMPTS = 5;

export class FaultProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #upstream: Upstream;
  readonly #sockets = new Set<Socket>();
  readonly #exchanges: Exchange[] = [];
  readonly #hung = new Set<() => void>();
  #rules: readonly Rule[] = [];
  #before: readonly Hook[] = [];
  #after: readonly Hook[] = [];
  #seen = 0;
  #port = 0;
  /** Resolves with the thaw; undefined while nothing is frozen. */
  #frozen: PromiseWithResolvers<void> | undefined;

  private constructor(options: FaultProxyOptions) {
    this.#upstream = new Upstream(options);
    this.#server = createServer((request, response) => void this.#handle(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Listens on a free port of 127.0.0.1 that stays the same. */
  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    for (let attempt = 1; ; attempt += 1) {
      proxy.#port = await freePort();
      try {
        await proxy.accept();
        return proxy;
      } catch (error) {
        if (attempt === LISTEN_ATTEMPTS) throw error;
      }
    }
  }

  /** `http://127.0.0.1:PORT`. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** What was seen, oldest first; long ago is forgotten. */
  get exchanges(): readonly Exchange[] {
    return this.#exchanges;
  }

  /** Connections of clients that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** From now on the rule is asked, before those that are there; gives what removes it. */
  use(rule: Rule): () => void {
    this.#rules = [rule, ...this.#rules];
    return () => {
      this.#rules = this.#rules.filter((each) => each !== rule);
    };
  }

  /** Runs before a request is forwarded: the server knows nothing of it yet. Gives what removes the hook. */
  before(hook: Hook): () => void {
    this.#before = [...this.#before, hook];
    return () => {
      this.#before = this.#before.filter((each) => each !== hook);
    };
  }

  /**
   * Runs when the server has answered and the client has not heard of it yet: what the request asked for is done. Gives
   * what removes the hook.
   */
  after(hook: Hook): () => void {
    this.#after = [...this.#after, hook];
    return () => {
      this.#after = this.#after.filter((each) => each !== hook);
    };
  }

  /** Resets every connection of a client. */
  cutAll(): void {
    for (const socket of this.#sockets) reset(socket);
  }

  /** Lets nothing pass in either direction until `thaw`, over connections that stay open and new ones alike. */
  freeze(): void {
    this.#frozen ??= Promise.withResolvers();
  }

  thaw(): void {
    this.#frozen?.resolve();
    this.#frozen = undefined;
  }

  /** Forwards what hangs. */
  release(): void {
    for (const go of this.#hung) go();
  }

  /** Resets every connection and refuses new ones, until `accept`. */
  async refuse(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cutAll();
    await closed;
  }

  /** Listens again on the same port. */
  async accept(): Promise<void> {
    if (this.#server.listening) return;
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    await this.refuse();
    this.thaw();
    this.#upstream.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Whatever fails ends the client's connection, as it would without the proxy. */
  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    try {
      const body = Buffer.concat(await request.toArray());
      const exchange = this.#record(request, body);
      await this.#passage(gone.signal);
      await this.#play({ request, body, response, exchange, signal: gone.signal }, this.#faultFor(exchange));
    } catch {
      reset(response.socket);
    }
  }

  #record({ method = '', url: path = '/' }: IncomingMessage, body: Buffer): Exchange {
    const watch = new URL(path, 'http://server').searchParams.get('watch');
    const isWatch = watch === 'true' || watch === '1';
    const exchange = { index: this.#seen, at: performance.now(), method, path, isWatch, body: body.toString('utf8') };
    this.#seen += 1;
    this.#exchanges.push(exchange);
    if (this.#exchanges.length > REMEMBERED) this.#exchanges.shift();
    return exchange;
  }

  #faultFor(exchange: Exchange): Fault | undefined {
    for (const rule of this.#rules) {
      const fault = rule(exchange);
      if (fault) return fault;
    }
    return undefined;
  }

  async #play(visit: Visit, fault: Fault | undefined): Promise<void> {
    const { response, exchange, signal } = visit;
    switch (fault?.kind) {
      case 'answer':
        exchange.status = fault.status;
        response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
        response.end(fault.body ?? '');
        return;
      case 'delay':
        await sleep(fault.milliseconds, undefined, { signal });
        return this.#pass(visit, await this.#forward(visit));
      case 'cut':
        return this.#pass(visit, await this.#forward(visit), fault);
      case 'lose-response':
        (await this.#forward(visit)).destroy();
        return reset(response.socket);
      case 'hang':
        await this.#hang(signal);
        return this.#pass(visit, await this.#forward(visit));
      case 'replace':
        return replaceBody(visit, await this.#forward(visit), fault.change);
      case undefined:
        return this.#pass(visit, await this.#forward(visit));
    }
  }

  /** The server's answer, of which the client has nothing yet. */
  async #forward({ request, body, exchange, signal }: Visit): Promise<IncomingMessage> {
    for (const hook of this.#before) await hook(exchange);
    const answer = await this.#upstream.send(request, body, signal);
    exchange.status = answer.statusCode ?? 0;
    for (const hook of this.#after) await hook(exchange);
    return answer;
  }

  async #pass({ response, exchange, signal }: Visit, answer: IncomingMessage, cut?: Cut): Promise<void> {
    const cutter = cut && new ByteCutter(cut);
    // A body that ends too early in an orderly way must not have told its length.
    const { 'content-length': length, ...others } = headersOf(answer);
    const keepsLength = length !== undefined && cut?.how !== 'end';
    response.writeHead(exchange.status ?? 0, keepsLength ? { ...others, 'content-length': length } : others);
    response.flushHeaders();
    const chunks: AsyncIterable<Buffer> = answer;
    if (!cutter?.isDue) {
      for await (const chunk of chunks) {
        await this.#passage(signal);
        const passing = cutter ? cutter.take(chunk) : chunk;
        await written(response, passing, signal);
        if (cutter?.isDue) break;
      }
    }
    answer.destroy();
    if (cutter?.isDue && cut?.how !== 'end') reset(response.socket);
    else response.end();
  }

  #hang(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const forget = (): void => {
        this.#hung.delete(go);
        signal.removeEventListener('abort', leave);
      };
      const go = (): void => {
        forget();
        resolve();
      };
      const leave = (): void => {
        forget();
        reject(signal.reason);
      };
      this.#hung.add(go);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** Resolves when nothing is frozen. Whoever goes meanwhile is not waited for; writing to it fails then. */
  async #passage(signal: AbortSignal): Promise<void> {
    while (this.#frozen && !signal.aborted) await this.#frozen.promise;
    signal.throwIfAborted();
  }
}

interface Visit {
  readonly request: IncomingMessage;
  readonly body: Buffer;
  readonly response: ServerResponse;
  readonly exchange: Exchange;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

async function replaceBody(
  { response, exchange }: Visit,
  answer: IncomingMessage,
  change: (body: string) => string,
): Promise<void> {
  const body = change(Buffer.concat(await answer.toArray()).toString('utf8'));
  const headers = { ...headersOf(answer), 'content-length': Buffer.byteLength(body) };
  response.writeHead(exchange.status ?? 0, headers).end(body);
}

/** Without those that are about one connection alone (RFC 9110, section 7.6.1). */
function headersOf({ headers }: IncomingMessage): Record<string, string | string[] | undefined> {
  const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...others } = headers;
  return others;
}

/** Resolves when the kernel has the bytes, so that a reset right after does not take them back. */
function written(response: ServerResponse, bytes: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    response.write(bytes, (error) => {
      signal.removeEventListener('abort', leave);
      if (error) reject(error);
      else resolve();
    });
  });
}

function reset(socket: Socket | null): void {
  socket?.resetAndDestroy();
}
