import { createServer, type Server, type Socket } from 'node:net';
import { KEEP_ALIVE_MS } from './dial.ts';
import type { Frontend, FrontendParts } from './frontend.ts';
import { listenError } from './listen-error.ts';
import type { ListenerSpec } from './listener-spec.ts';
import { SourceRanges, clientAddress } from './source-ranges.ts';
import { TcpConnection } from './tcp-connection.ts';
import { changeOf, type TargetGroup, type TargetsChange } from './target-group.ts';

/** Connections that the kernel keeps for us while we are busy; it caps this at `net.core.somaxconn`. */
const BACKLOG = 4_096;

/** Listens on one TCP port of one address. */
export class TcpListener implements Frontend {
  readonly #parts: FrontendParts;
  readonly #connections = new Set<TcpConnection>();
  /** Cancels the end of the connections to a node that has left. */
  readonly #leaving = new Map<string, () => void>();
  readonly #server: Server;
  #spec: ListenerSpec;
  #group: TargetGroup;
  #ranges: SourceRanges;
  #closed: Promise<void> | undefined;
  #cutAt = Infinity;
  #cancelCut: (() => void) | undefined;
  #allEnded: (() => void) | undefined;

  constructor(parts: FrontendParts) {
    this.#parts = parts;
    this.#spec = parts.spec;
    this.#group = parts.group;
    this.#ranges = new SourceRanges(parts.spec.settings.sourceRanges);
    this.#server = createServer({
      allowHalfOpen: true,
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    this.#server.on('connection', (socket) => this.#accept(socket));
  }

  get spec(): ListenerSpec {
    return this.#spec;
  }

  get size(): number {
    return this.#connections.size;
  }

  open(): Promise<void> {
    const { address: host, port, family } = this.#spec;
    return new Promise((resolve, reject) => {
      const refuse = (error: NodeJS.ErrnoException): void => reject(listenError(this.#spec, error));
      this.#server.once('error', refuse);
      this.#server.listen({ host, port, ipv6Only: family === 'IPv6', backlog: BACKLOG, exclusive: true }, () => {
        this.#server.off('error', refuse);
        // An error in accepting one connection leaves the socket listening; only its end is our business.
        let lastError: Error | undefined;
        this.#server.on('error', (error) => (lastError = error));
        this.#server.on('close', () => {
          if (!this.#closed) this.#parts.onDied(lastError);
        });
        resolve();
      });
    });
  }

  update(spec: ListenerSpec, group: TargetGroup): void {
    const before = this.#group.view;
    const isIdleTimeChanged = spec.settings.idleTimeoutMs !== this.#spec.settings.idleTimeoutMs;
    this.#spec = spec;
    this.#group = group;
    this.#ranges = new SourceRanges(spec.settings.sourceRanges);
    this.#parts.lane.setLimit(spec.settings.maxConnections ?? Infinity);
    this.#parts.selector.set(spec, group);
    if (isIdleTimeChanged) for (const connection of this.#connections) connection.rearm();
    this.targetsChanged(changeOf(before, group.view));
  }

  targetsChanged({ left, joined }: TargetsChange): void {
    for (const node of joined) {
      if (this.#strays(node).length > 0) continue;
      this.#leaving.get(node)?.();
      this.#leaving.delete(node);
    }
    for (const node of left) {
      if (this.#leaving.has(node) || this.#strays(node).length === 0) continue;
      this.#leaving.set(
        node,
        this.#parts.clock.after(this.#spec.settings.drainTimeoutMs, () => {
          this.#leaving.delete(node);
          for (const connection of this.#strays(node)) connection.cut('drained');
        }),
      );
    }
    this.#parts.selector.forget(left);
    this.#parts.metrics.keepTargets((node) => this.#group.view.has(node));
  }

  close(drainMs: number): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#allEnded = resolve;
      this.#server.close();
      for (const connection of this.#connections) if (connection.isWaiting) connection.cut('drained');
    });
    const { clock } = this.#parts;
    this.#cutAt = Math.min(this.#cutAt, clock.now() + drainMs);
    this.#cancelCut?.();
    const cutAll = (): void => {
      for (const connection of this.#connections) connection.cut('drained');
    };
    if (this.#cutAt <= clock.now()) cutAll();
    else this.#cancelCut = clock.after(this.#cutAt - clock.now(), cutAll);
    this.#settle();
    return this.#closed;
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    socket.on('error', () => {});
    if (remoteAddress === undefined || remotePort === undefined) {
      // The client has gone already.
      socket.destroy();
      return;
    }
    const client = { address: clientAddress(remoteAddress), port: remotePort };
    if (!this.#ranges.allows(client.address)) {
      this.#parts.metrics.refused('denied');
      socket.resetAndDestroy();
      return;
    }
    const connection: TcpConnection = new TcpConnection({
      ...this.#parts,
      spec: () => this.#spec,
      socket,
      client,
      onEnd: () => {
        this.#connections.delete(connection);
        this.#settle();
      },
    });
    this.#connections.add(connection);
    connection.start();
  }

  /** Connections to the node that nobody new would be given: it is no longer a target, or has another address. */
  #strays(node: string): readonly TcpConnection[] {
    return [...this.#connections].filter(
      ({ goingTo }) => goingTo?.node === node && !this.#parts.selector.hasNode(goingTo),
    );
  }

  /** When closed and empty: lets go of everything. */
  #settle(): void {
    if (!this.#closed || this.#connections.size > 0) return;
    this.#cancelCut?.();
    for (const cancel of this.#leaving.values()) cancel();
    this.#leaving.clear();
    this.#parts.metrics.close();
    this.#allEnded?.();
  }
}
