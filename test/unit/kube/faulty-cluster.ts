import type { ServerResponse } from 'node:http';
import type { Node } from '#src/kube/wire';
import { node } from '#test/fakes/builders';
import { Loopback, refuse, reply, stream, type Received } from './loopback.ts';

/** What goes wrong with the next request, or with the watches that are open. */
export type Fault =
  | 'list 500'
  | 'list 503 with Retry-After'
  | 'list cut'
  | 'watch 500'
  | 'watch 429'
  | 'watch cut'
  | 'watch cut within an event'
  | 'watch ended'
  | 'watch silent'
  | 'compaction';

export const FAULTS: readonly Fault[] = [
  'list 500',
  'list 503 with Retry-After',
  'list cut',
  'watch 500',
  'watch 429',
  'watch cut',
  'watch cut within an event',
  'watch ended',
  'watch silent',
  'compaction',
];

interface Change {
  readonly version: number;
  readonly line: object;
}

/** Nodes behind the list and watch of an API server: versions, pages, history, compaction, and faults on demand. */
export class FaultyCluster implements AsyncDisposable {
  readonly server: Loopback;
  readonly nodes: Map<string, Node> = new Map();
  #version = 10;
  #history: Change[] = [];
  #compacted = 10;
  #uids = 0;
  readonly #open = new Set<ServerResponse>();
  readonly #silent = new Set<ServerResponse>();
  #nextList: Fault | undefined;
  #nextWatch: Fault | undefined;

  private constructor(server: Loopback) {
    this.server = server;
    server.handler = (request, response) =>
      request.query.has('watch') ? this.#watch(request, response) : this.#list(request, response);
  }

  static async start(): Promise<FaultyCluster> {
    return new FaultyCluster(await Loopback.start(() => {}));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }

  /** Creates the node, or changes its label. */
  put(name: string, label: string): void {
    const before = this.nodes.get(name);
    const uid = before?.metadata.uid ?? `uid-${(this.#uids += 1)}`;
    const resourceVersion = String((this.#version += 1));
    const after = node({ metadata: { name, uid, resourceVersion, labels: { label } } });
    this.nodes.set(name, after);
    this.#change(before ? 'MODIFIED' : 'ADDED', after);
  }

  delete(name: string): void {
    const before = this.nodes.get(name);
    if (!before) return;
    this.nodes.delete(name);
    const resourceVersion = String((this.#version += 1));
    this.#change('DELETED', { ...before, metadata: { ...before.metadata, resourceVersion } });
  }

  /** Lets something go wrong; what is meant for a request waits for the next one. */
  strike(fault: Fault): void {
    if (fault.startsWith('list')) this.#nextList = fault;
    if (fault === 'watch 500' || fault === 'watch 429') this.#nextWatch = fault;
    if (fault === 'watch ended') for (const response of this.#open) response.end();
    if (fault === 'watch cut') for (const response of this.#open) response.destroy();
    if (fault === 'watch silent') for (const response of this.#open) this.#silent.add(response);
    if (fault === 'watch cut within an event') {
      for (const response of this.#open) response.write('{"type":"MODIFIED","object":{"meta', () => response.destroy());
    }
    if (fault === 'compaction') {
      this.#history = [];
      this.#compacted = this.#version;
      for (const response of this.#open) response.destroy();
    }
  }

  /** No request is spoiled any more; the silent connections stay as they are. */
  calm(): void {
    this.#nextList = undefined;
    this.#nextWatch = undefined;
  }

  #change(type: string, object: Node): void {
    const change = { version: this.#version, line: { type, object } };
    this.#history.push(change);
    for (const response of this.#open) if (!this.#silent.has(response)) stream(response, change.line);
  }

  #list({ query }: Received, response: ServerResponse): void {
    const fault = this.#nextList;
    this.#nextList = undefined;
    if (fault === 'list 500') return refuse(response, 500, 'InternalError');
    if (fault === 'list 503 with Retry-After') return refuse(response, 503, 'Unavailable', { 'retry-after': '0' });
    if (fault === 'list cut') {
      response.write('{"items":[{"metadata":{"na', () => response.destroy());
      return;
    }
    const [version = this.#version, offset = 0] = (query.get('continue') ?? '').split('/').filter(Boolean).map(Number);
    // Like etcd, which cannot go on with a snapshot that was compacted; ours cannot go on with any older one.
    if (version !== this.#version) return refuse(response, 410, 'Expired');
    const all = [...this.nodes.values()];
    const limit = Number(query.get('limit') ?? all.length);
    const end = offset + limit;
    const next = end < all.length ? { continue: `${version}/${end}` } : {};
    reply(response, 200, {
      items: all.slice(offset, end),
      metadata: { resourceVersion: String(version), ...next },
    });
  }

  #watch({ query }: Received, response: ServerResponse): void {
    const fault = this.#nextWatch;
    this.#nextWatch = undefined;
    if (fault === 'watch 500') return refuse(response, 500, 'InternalError');
    if (fault === 'watch 429') return refuse(response, 429, 'TooManyRequests', { 'retry-after': '0' });
    const from = Number(query.get('resourceVersion'));
    if (from < this.#compacted) {
      const status = { kind: 'Status', code: 410, reason: 'Expired', message: `too old resource version: ${from}` };
      stream(response, { type: 'ERROR', object: status });
      response.end();
      return;
    }
    stream(response, ...this.#history.filter(({ version }) => version > from).map(({ line }) => line));
    this.#open.add(response);
    response.on('close', () => this.#open.delete(response));
  }
}
