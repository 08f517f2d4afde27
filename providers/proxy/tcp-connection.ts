import type { Socket } from 'node:net';
import { dial } from './dial.ts';
import type { FrontendParts } from './frontend.ts';
import type { ListenerSpec } from './listener-spec.ts';
import type { Result } from './metrics.ts';
import { proxyHeader } from './proxy-protocol.ts';
import { relay } from './relay.ts';
import type { Target } from './selector.ts';
import { resetSocket } from './socket-reset.ts';

/**
 * The first attempts follow each other at once, on other nodes; before the fourth and each one after it is a pause,
 * which doubles. It is for what only time heals: kube-proxy takes up to a second (its minSyncPeriod) to follow the
 * endpoints, and until then every node may send on to a pod that has gone, or refuse the port of a new Service.
 */
const ATTEMPTS_AT_ONCE = 3;
const FIRST_PAUSE_MS = 100;

/** Longer than this nobody waits for room: clients have given up by then, and one that is not read shows no sign of it. */
const MOST_WAITING_MS = 15_000;

/** One for all, because making an error for each connection costs more than relaying a small answer. */
const ENDED = new Error('the connection has ended');

/** Where the client is, as it connected. */
export interface Client {
  readonly address: string;
  readonly port: number;
}

export interface ConnectionParts extends Omit<FrontendParts, 'spec' | 'group' | 'onDied'> {
  /** Of the listener, as it is now. */
  readonly spec: () => ListenerSpec;
  readonly socket: Socket;
  readonly client: Client;
  /** Called once, when nothing of the connection is left. */
  readonly onEnd: () => void;
}

/**
 * One client's connection from its acceptance to its end: it waits for room, is given a target, and is relayed. As
 * long as no byte has gone to a target, one that fails is replaced by another.
 */
export class TcpConnection {
  readonly #parts: ConnectionParts;
  readonly #abort = new AbortController();
  readonly #admit = (): void => {
    this.#parts.metrics.waits(-1);
    this.#admitted();
  };
  /** Where it goes. */
  goingTo: Target | undefined;
  #target: Socket | undefined;
  #isAdmitted = false;
  #ended = false;
  #activeAt = 0;
  #cancelIdle: (() => void) | undefined;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  start(): void {
    const { lane, metrics, socket } = this.#parts;
    // A client that goes while its socket is not read shows up as an error of a write, or not at all.
    socket.on('close', () => {
      if (!this.#target) this.#end('closed');
    });
    this.#touch();
    const entry = lane.enter(this.#admit);
    if (entry === 'full') {
      this.#end('overflow');
    } else if (entry === 'admitted') {
      this.#admitted();
    } else {
      metrics.waits(1);
      this.#armIdle();
    }
  }

  /** Whether it still waits for room. */
  get isWaiting(): boolean {
    return !this.#isAdmitted && !this.#ended;
  }

  /** Ends it now, with a reset to both sides. */
  cut(result: Result): void {
    this.#end(result);
  }

  #admitted(): void {
    this.#isAdmitted = true;
    this.#touch();
    this.#armIdle();
    this.#parts.metrics.opened();
    void this.#serve();
  }

  async #serve(): Promise<void> {
    const { selector, metrics, options, socket } = this.#parts;
    const tried = new Set<string>();
    for (let attempt = 1; attempt <= options.connectAttempts; attempt++) {
      if (attempt > ATTEMPTS_AT_ONCE) await this.#pause(FIRST_PAUSE_MS * 2 ** (attempt - ATTEMPTS_AT_ONCE - 1));
      if (this.#ended) return;
      const target = this.#nextTarget(tried);
      if (!target) break;
      if (attempt > 1) metrics.retried();
      tried.add(target.node);
      this.goingTo = target;
      selector.opened(target.node);
      const outcome = await this.#connect(target);
      selector.closed(target.node);
      if (outcome === 'local-fault') break;
      if (outcome !== 'unused') {
        this.#end(outcome, socket.destroyed);
        return;
      }
    }
    this.#end('no-target');
  }

  /** A node that was not tried yet; with all of them tried, any once more: behind it may be another pod now. */
  #nextTarget(tried: Set<string>): Target | undefined {
    const { selector, client } = this.#parts;
    const target = selector.next(client.address, tried);
    if (target || tried.size === 0) return target;
    tried.clear();
    return selector.next(client.address, tried);
  }

  /** Resolves after this time, or when the connection has ended. */
  #pause(milliseconds: number): Promise<void> {
    this.goingTo = undefined;
    return new Promise((resolve) => {
      const { signal } = this.#abort;
      const done = (): void => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.#parts.clock.after(milliseconds, done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }

  /** Dials one target and relays to it; `unused` when another may be tried. */
  async #connect(target: Target): Promise<Result | 'unused' | 'local-fault'> {
    const { selector, metrics, options, clock, buffers, socket, spec } = this.#parts;
    const began = clock.now();
    const dialed = await dial({
      host: target.host,
      port: target.port,
      timeoutMs: options.connectTimeoutMs,
      signal: this.#abort.signal,
      buffers,
    });
    if ('error' in dialed) {
      if (this.#ended) return 'closed';
      if (dialed.fault === 'machine') return 'local-fault';
      if (dialed.fault === 'target') selector.failed(target.node);
      metrics.target(target.node, 'failed');
      return 'unused';
    }
    if (this.#ended) {
      dialed.socket.destroy();
      return 'closed';
    }
    metrics.connected(clock.now() - began);
    metrics.target(target.node, 'reached');
    this.#target = dialed.socket;
    if (spec().settings.proxyProtocol) dialed.socket.write(this.#header());
    let answered = false;
    const end = await relay({
      client: socket,
      target: dialed,
      onBytes: (direction, count) => {
        this.#touch();
        metrics.bytes(direction, count);
        if (direction === 'in' || answered) return;
        answered = true;
        selector.reached(target.node);
      },
    });
    this.#target = undefined;
    if (end !== 'unused') return end;
    if (this.#ended) return 'closed';
    selector.failed(target.node);
    metrics.target(target.node, 'failed');
    return 'unused';
  }

  #header(): Buffer {
    const { address, port } = this.#parts.spec();
    const { client } = this.#parts;
    return proxyHeader({ clientAddress: client.address, clientPort: client.port, address, port });
  }

  #touch(): void {
    this.#activeAt = this.#parts.clock.now();
  }

  /** Its idle time-out may be another now. */
  rearm(): void {
    if (!this.#ended) this.#armIdle();
  }

  #armIdle(): void {
    const { clock, spec } = this.#parts;
    this.#cancelIdle?.();
    const { idleTimeoutMs } = spec().settings;
    const most = this.isWaiting ? Math.min(MOST_WAITING_MS, idleTimeoutMs) : idleTimeoutMs;
    const left = this.#activeAt + most - clock.now();
    if (left <= 0) this.#end('idle');
    else this.#cancelIdle = clock.after(left, () => this.#armIdle());
  }

  #end(result: Result, alreadyClosed = false): void {
    if (this.#ended) return;
    this.#ended = true;
    const { lane, metrics, socket, onEnd } = this.#parts;
    this.#cancelIdle?.();
    this.#abort.abort(ENDED);
    if (!alreadyClosed) resetSocket(socket);
    if (this.#target) resetSocket(this.#target);
    if (this.#isAdmitted) {
      metrics.ended(result);
      lane.leave();
    } else {
      if (result !== 'overflow') {
        lane.abandon(this.#admit);
        metrics.waits(-1);
      }
      metrics.refused(result);
    }
    onEnd();
  }
}
