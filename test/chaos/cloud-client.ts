import { Pool } from 'undici';
import { BallastError } from '#src/errors';
import type { CloudAction, CloudRequests, CloudState } from './cloud.ts';

const REQUEST_TIMEOUT_MS = 10_000;

/** Talks to the cloud; every call is one request. */
export class CloudClient {
  readonly #pool: Pool;

  /** `url`: `http://127.0.0.1:PORT`. */
  constructor(url: string) {
    this.#pool = new Pool(url, { headersTimeout: REQUEST_TIMEOUT_MS, bodyTimeout: REQUEST_TIMEOUT_MS });
  }

  /** What exists, or what of it carries this owner's tag. */
  describe(signal: AbortSignal, owner?: string): Promise<CloudState> {
    const query = owner === undefined ? '' : `?${new URLSearchParams({ owner }).toString()}`;
    return this.#send<CloudState>({ method: 'GET', path: `/${query}`, signal });
  }

  /**
   * Changes something and gives its id. Takes no signal: a request that is on its way is waited for, because what has
   * become of it could not be known otherwise.
   */
  change<Action extends CloudAction>(action: Action, request: CloudRequests[Action]): Promise<string> {
    return this.#send<string>({ method: 'POST', path: `/${action}`, body: JSON.stringify(request) });
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }

  async #send<T>(request: Parameters<Pool['request']>[0]): Promise<T> {
    const { status, text } = await this.#exchange(request);
    if (status === 200) return JSON.parse(text);
    const message = `The cloud refused ${request.method} ${request.path}: ${text}`;
    throw new BallastError(status === 400 ? 'Bug' : 'ClaimLost', message);
  }

  async #exchange(request: Parameters<Pool['request']>[0]): Promise<{ status: number; text: string }> {
    try {
      const { statusCode, body } = await this.#pool.request(request);
      return { status: statusCode, text: await body.text() };
    } catch (error) {
      if (request.signal instanceof AbortSignal) request.signal.throwIfAborted();
      throw new BallastError('ApiUnavailable', 'The cloud could not be reached.', { cause: error });
    }
  }
}
