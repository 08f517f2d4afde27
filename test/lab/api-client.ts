import { readFile } from 'node:fs/promises';
import { Agent } from 'undici';
import { LabRequestError } from './errors.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface RequestOptions {
  /** Default 30 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Default for PATCH `application/merge-patch+json`, otherwise `application/json`. */
  readonly contentType?: string;
  /** Bearer token in place of the administrator's. */
  readonly token?: string;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** Talks to the API server of a lab with an administrator's token. Close it, or its connections keep the process alive. */
export class ApiClient {
  readonly #origin: string;
  readonly #token: string;
  readonly #agent: Agent;

  private constructor(origin: string, token: string, authority: string) {
    this.#origin = origin;
    this.#token = token;
    this.#agent = new Agent({ connect: { ca: authority } });
  }

  /** `authority` is the file with the certificate of the authority that signed the API server's. */
  static async open(origin: string, token: string, authority: string): Promise<ApiClient> {
    return new ApiClient(origin, token, await readFile(authority, 'utf8'));
  }

  /** The text of the answer; throws `LabRequestError` for a status of 400 or more. */
  async text(method: Method, path: string, body?: unknown, options: RequestOptions = {}): Promise<string> {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const response = await this.#agent.request({
      origin: this.#origin,
      path,
      method,
      headers: {
        authorization: `Bearer ${options.token ?? this.#token}`,
        accept: 'application/json',
        ...(body !== undefined && {
          'content-type':
            options.contentType ?? (method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'),
        }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
    });
    const text = await response.body.text();
    if (response.statusCode >= 400) {
      throw new LabRequestError(
        `${method} ${path} answered ${response.statusCode}: ${message(text)}`,
        response.statusCode,
      );
    }
    return text;
  }

  /** The answer as an object. `T` is what the caller knows of its shape; nothing checks it. */
  async json<T>(method: Method, path: string, body?: unknown, options?: RequestOptions): Promise<T> {
    return JSON.parse(await this.text(method, path, body, options));
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** The message of a Kubernetes Status, or the whole answer where it is none. */
function message(text: string): string {
  try {
    const status: unknown = JSON.parse(text);
    if (typeof status === 'object' && status !== null && 'message' in status) return String(status.message);
  } catch {
    // Not JSON; the text itself is the message.
  }
  return text.slice(0, 1_000);
}
