/** The side of the users: creates, watches and deletes through the API server, over connections of its own. */
import { readFileSync } from 'node:fs';
import { Agent } from 'undici';
import type { KubeObject, Service } from '#src/kube/wire';
import type { ControlPlane } from '#test/control-plane/control-plane';

/** Requests under way at once, as `kubectl apply` from many places makes them. */
export const CONCURRENCY = 16;

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

export interface List<T extends KubeObject> {
  readonly items: readonly T[];
  readonly metadata: { readonly resourceVersion: string };
}

/** One client of an API server. */
export class Driver {
  readonly plane: ControlPlane;
  readonly #agent: Agent;

  constructor(plane: ControlPlane) {
    this.plane = plane;
    const ca = readFileSync(plane.caPath, 'utf8');
    // One more than work at once, for a watch.
    this.#agent = new Agent({ connections: CONCURRENCY + 4, connect: { ca } });
  }

  /** Rejects for any status from 400 on. */
  async send(method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<string> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const answer = await this.#agent.request({
      origin: this.plane.url,
      path,
      method,
      headers: {
        authorization: `Bearer ${this.plane.adminToken}`,
        ...(body !== undefined && { 'content-type': type }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 400) throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`);
    return text;
  }

  /** Calls for each number from 0 on, `CONCURRENCY` at once; seconds that it took. */
  async each(count: number, work: (index: number) => Promise<unknown>): Promise<number> {
    const startedAt = performance.now();
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < count) await work(next++);
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, lane));
    return (performance.now() - startedAt) / 1000;
  }

  /** What changes from the list of now on, until the signal aborts; resolves once it watches. */
  async watch<T extends KubeObject>(
    path: string,
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<List<T>> {
    const list: List<T> = JSON.parse(await this.send('GET', path));
    const answer = await this.#agent.request({
      origin: this.plane.url,
      path: `${path}?watch=1&resourceVersion=${list.metadata.resourceVersion}`,
      method: 'GET',
      headers: { authorization: `Bearer ${this.plane.adminToken}` },
      headersTimeout: 0,
      bodyTimeout: 0,
      signal,
    });
    let rest = '';
    answer.body.setEncoding('utf8');
    answer.body.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onEvent(JSON.parse(line));
    });
    // The end of the watch is our own doing.
    answer.body.on('error', () => {});
    return list;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** Whether a controller has given the Service an address. */
export function hasAddress(service: Service): boolean {
  return (service.status?.loadBalancer?.ingress ?? []).length > 0;
}
