import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Cloud, CloudRefusal, type CloudAction, type CloudRequests } from './cloud.ts';

/**
 * The cloud over HTTP on a free port of 127.0.0.1: `GET /?owner=KEY` describes, `POST /<action>` with a request as JSON
 * changes something and answers with an id as JSON.
 */
export class CloudServer implements AsyncDisposable {
  readonly cloud: Cloud;
  readonly #server: Server;

  private constructor(cloud: Cloud) {
    this.cloud = cloud;
    this.#server = createServer((request, response) => {
      answer(cloud, request, response).catch(() => response.destroy());
    });
  }

  static async start(addresses: readonly string[]): Promise<CloudServer> {
    const server = new CloudServer(new Cloud(addresses));
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  /** `http://127.0.0.1:PORT`. */
  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${isInfo(address) ? address.port : 0}`;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function isInfo(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}

async function answer(cloud: Cloud, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://cloud');
  const text = Buffer.concat(await request.toArray()).toString('utf8');
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (request.method === 'GET') return send(200, cloud.describe(searchParams.get('owner') ?? undefined));
  const action = pathname.slice(1);
  if (!isAction(cloud, action)) return send(404, `there is no action ${action}`);
  try {
    send(200, carryOut(cloud, action, JSON.parse(text)));
  } catch (error) {
    if (!(error instanceof CloudRefusal)) throw error;
    send(error.status, error.message);
  }
}

function isAction({ actions }: Cloud, name: string): name is CloudAction {
  return Object.hasOwn(actions, name);
}

/** The only caller is the client of these very types, so its requests are as they must be. */
function carryOut<Action extends CloudAction>(
  { actions }: Cloud,
  action: Action,
  request: CloudRequests[Action],
): string {
  return actions[action](request);
}
