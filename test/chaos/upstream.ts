import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** The server behind the proxy, over connections that stay open. */
export class Upstream {
  readonly #target: URL;
  readonly #agent: HttpAgent;

  /** `ca`: PEM of the authority that signed the certificate of an https target. */
  constructor({ target, ca }: { readonly target: string; readonly ca?: string }) {
    this.#target = new URL(target);
    const keepAlive = { keepAlive: true };
    this.#agent = this.#isSecure
      ? new HttpsAgent({ ...keepAlive, ...(ca === undefined ? {} : { ca }) })
      : new HttpAgent(keepAlive);
  }

  /** The answer with its body still to come. Rejects when the server cannot be reached, or the signal aborts. */
  async send(request: IncomingMessage, body: Buffer, signal: AbortSignal): Promise<IncomingMessage> {
    const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...headers } = request.headers;
    const { hostname, port } = this.#target;
    const sent = (this.#isSecure ? httpsRequest : httpRequest)({
      agent: this.#agent,
      hostname,
      port,
      method: request.method,
      path: request.url,
      // Bodies are counted and changed as they are, so not compressed.
      headers: { ...headers, 'accept-encoding': 'identity', ...(body.length > 0 && { 'content-length': body.length }) },
      signal,
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve);
      // Stays: the connection may break later as well, which the reader of the body notices.
      sent.on('error', reject);
    });
    sent.end(body);
    return answered;
  }

  close(): void {
    this.#agent.destroy();
  }

  get #isSecure(): boolean {
    return this.#target.protocol === 'https:';
  }
}
