/** The side of the users: creates, watches and deletes through the API server, over connections of its own. */
import { readFileSync } from 'node:fs';
import { Agent } from 'undici';
import type { KubeObject, Service } from '#src/kube/wire';
import type { ControlPlane } from '#test/control-plane/control-plane';

/** Requests under way at once, as `kubectl apply` from many places makes them. */
export const CONCURRENCY = 16;

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'ERROR';
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

  /**
   * What there is, as `ADDED`, and then what changes, until the signal aborts; resolves once it watches. The API server
   * ends a watch whose client is slow, as one is on a busy machine: it then goes on where it was, or from a new list.
   */
  async watch<T extends KubeObject>(
    path: string,
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const known = new Map<string, T>();
    const see = (event: WatchEvent<T>): void => {
      if (event.type === 'DELETED') known.delete(event.object.metadata.name);
      else known.set(event.object.metadata.name, event.object);
      onEvent(event);
    };
    let version = await this.#list(path, known, see);
    let stream = await this.#stream(path, version, signal);
    const follow = async (): Promise<void> => {
      while (!signal.aborted) {
        try {
          for await (const event of eventsOf<T>(stream)) {
            if (event.type === 'ERROR') throw new Error(`the watch of ${path} has expired`);
            version = event.object.metadata.resourceVersion;
            see(event);
          }
        } catch {
          if (!signal.aborted) version = await this.#list(path, known, see);
        }
        if (!signal.aborted) stream = await this.#stream(path, version, signal);
      }
    };
    // What makes it end is the abort, or an API server that is gone: somebody waits for an event in vain, and says so.
    follow().catch(() => {});
  }

  /** Tells what is there, and what is there no longer; gives the resource version to go on from. */
  async #list<T extends KubeObject>(
    path: string,
    known: ReadonlyMap<string, T>,
    see: (event: WatchEvent<T>) => void,
  ): Promise<string> {
    const list: List<T> = JSON.parse(await this.send('GET', path));
    const present = new Set(list.items.map(({ metadata }) => metadata.name));
    const gone = [...known.values()].filter(({ metadata }) => !present.has(metadata.name));
    for (const object of gone) see({ type: 'DELETED', object });
    for (const object of list.items) see({ type: 'ADDED', object });
    return list.metadata.resourceVersion;
  }

  async #stream(path: string, version: string, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    const answer = await this.#agent.request({
      origin: this.plane.url,
      path: `${path}?watch=1&resourceVersion=${version}`,
      method: 'GET',
      headers: { authorization: `Bearer ${this.plane.adminToken}` },
      headersTimeout: 0,
      bodyTimeout: 0,
      signal,
    });
    return answer.body;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

async function* eventsOf<T>(stream: AsyncIterable<Buffer>): AsyncGenerator<WatchEvent<T>> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line);
  }
}

/** Whether a controller has given the Service an address. */
export function hasAddress(service: Service): boolean {
  return (service.status?.loadBalancer?.ingress ?? []).length > 0;
}
