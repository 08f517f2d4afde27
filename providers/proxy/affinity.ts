/** Most clients that are remembered for one listener; the one that was away longest is forgotten for a new one. */
const MOST_CLIENTS = 65_536;

/**
 * Which node each client had, for `sessionAffinity: ClientIP`. As kube-proxy does it, each Service port keeps its own
 * memory, and every new connection starts the time-out again.
 */
export class Affinity {
  /** Least recently seen first. */
  readonly #clients = new Map<string, { readonly node: string; readonly seenAt: number }>();

  /** The client's node; undefined for a new client or one that was away for longer than `timeoutMs`. */
  nodeOf(client: string, timeoutMs: number, now: number): string | undefined {
    for (const [address, { seenAt }] of this.#clients) {
      if (now - seenAt < timeoutMs) break;
      this.#clients.delete(address);
    }
    return this.#clients.get(client)?.node;
  }

  remember(client: string, node: string, now: number): void {
    this.#clients.delete(client);
    const [oldest] = this.#clients.keys();
    if (oldest !== undefined && this.#clients.size >= MOST_CLIENTS) this.#clients.delete(oldest);
    this.#clients.set(client, { node, seenAt: now });
  }

  /** Forgets who had these nodes. */
  forget(nodes: ReadonlySet<string>): void {
    if (nodes.size === 0) return;
    for (const [client, { node }] of this.#clients) if (nodes.has(node)) this.#clients.delete(client);
  }

  get size(): number {
    return this.#clients.size;
  }

  clear(): void {
    this.#clients.clear();
  }
}
