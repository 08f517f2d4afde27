import { Agent } from 'undici';

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** The API server answered with an error. */
export class ApiRequestError extends Error {
  override readonly name = 'ApiRequestError';
  readonly status: number;
  /** The answer: a Kubernetes `Status` object, or text when it was not JSON. */
  readonly body: unknown;

  constructor(method: string, path: string, status: number, body: unknown) {
    super(`${method} ${path} answered ${status}: ${messageOf(body)}`);
    this.status = status;
    this.body = body;
  }
}

export interface ApiClientOptions {
  /** `https://127.0.0.1:6443`. */
  readonly url: string;
  /** PEM of the server's authority. */
  readonly ca: string;
  readonly token: string;
}

export interface ApiClient {
  /**
   * Sends JSON and returns the JSON of the answer, taken to be a `T`. A PATCH is a merge patch unless `contentType`
   * says otherwise. Throws an `ApiRequestError` for any status from 400 on.
   */
  request<T = unknown>(method: HttpMethod, path: string, body?: unknown, contentType?: string): Promise<T>;
  /** Whether `/readyz` answers with success within the time. */
  isReady(timeoutMs: number): Promise<boolean>;
  /** Drops the open connections; the next request opens new ones. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 30_000;

/** A client with connections that stay open, for one user of one API server. */
export function createApiClient({ url, ca, token }: ApiClientOptions): ApiClient {
  const newAgent = (): Agent => new Agent({ connect: { ca, timeout: 5000 } });
  let agent = newAgent();

  async function send(method: HttpMethod, path: string, timeoutMs: number, body?: unknown, type?: string) {
    const { statusCode, body: answer } = await agent.request({
      origin: url,
      path,
      method,
      headers: { authorization: `Bearer ${token}`, accept: 'application/json', ...(type && { 'content-type': type }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: statusCode, text: await answer.text() };
  }

  return {
    async request<T>(method: HttpMethod, path: string, body?: unknown, contentType?: string): Promise<T> {
      const usualType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const type = body === undefined ? undefined : (contentType ?? usualType);
      const { status, text } = await send(method, path, REQUEST_TIMEOUT_MS, body, type);
      if (status >= 400) throw new ApiRequestError(method, path, status, parseOrText(text));
      return JSON.parse(text);
    },
    async isReady(timeoutMs) {
      try {
        return (await send('GET', '/readyz', timeoutMs)).status === 200;
      } catch {
        return false;
      }
    },
    async reset() {
      const old = agent;
      agent = newAgent();
      await old.destroy();
    },
    close: () => agent.destroy(),
  };
}

function parseOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function messageOf(body: unknown): string {
  if (typeof body === 'object' && body !== null && 'message' in body) return String(body.message);
  return String(body);
}
