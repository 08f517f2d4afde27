import type { RemoteInfo, Socket } from 'node:dgram';
import type { Frontend, FrontendParts } from './frontend.ts';
import { listenError } from './listen-error.ts';
import type { ListenerSpec } from './listener-spec.ts';
import type { Result } from './metrics.ts';
import { SourceRanges, clientAddress } from './source-ranges.ts';
import { changeOf, type TargetGroup, type TargetsChange } from './target-group.ts';
import { UdpSession } from './udp-session.ts';
import { MOST_QUEUED_BYTES, udpSocket } from './udp-socket.ts';

interface Entry {
  readonly session: UdpSession;
  activeAt: number;
}

/**
 * Listens on one UDP port of one address. A session begins with a client's first datagram and ends when neither side
 * has sent anything for the idle time. At a limit, the session that was silent longest makes room for a new one: of the
 * listener that has most sessions, so that one which is flooded leaves the others their share, else its own. There is
 * nothing to drain: closing ends every session at once.
 */
export class UdpListener implements Frontend {
  readonly #parts: FrontendParts;
  /** By client; the one that was silent longest first. */
  readonly #sessions = new Map<string, Entry>();
  /** Cancels the end of the sessions of a node that has left. */
  readonly #leaving = new Map<string, () => void>();
  readonly #socket: Socket;
  #spec: ListenerSpec;
  #group: TargetGroup;
  #ranges: SourceRanges;
  #hasEnded = false;
  #isClosed = false;
  #cancelSweep: (() => void) | undefined;

  constructor(parts: FrontendParts) {
    this.#parts = parts;
    this.#spec = parts.spec;
    this.#group = parts.group;
    this.#ranges = new SourceRanges(parts.spec.settings.sourceRanges);
    this.#socket = udpSocket(parts.spec.address);
    this.#socket.on('close', () => (this.#hasEnded = true));
    parts.lane.yields(() => this.#endSilent());
  }

  get spec(): ListenerSpec {
    return this.#spec;
  }

  get size(): number {
    return this.#sessions.size;
  }

  open(): Promise<void> {
    const { address, port } = this.#spec;
    return new Promise((resolve, reject) => {
      const refuse = (error: NodeJS.ErrnoException): void => reject(listenError(this.#spec, error));
      this.#socket.once('error', refuse);
      this.#socket.bind({ address, port, exclusive: true }, () => {
        this.#socket.off('error', refuse);
        let lastError: Error | undefined;
        this.#socket.on('error', (error) => (lastError = error));
        this.#socket.on('close', () => {
          if (!this.#isClosed) this.#parts.onDied(lastError);
        });
        this.#socket.on('message', (datagram, from) => this.#receive(datagram, from));
        resolve();
      });
    });
  }

  update(spec: ListenerSpec, group: TargetGroup): void {
    const before = this.#group.view;
    this.#spec = spec;
    this.#group = group;
    this.#ranges = new SourceRanges(spec.settings.sourceRanges);
    this.#parts.lane.setLimit(spec.settings.maxConnections ?? Infinity);
    this.#parts.selector.set(spec, group);
    // A session has no end of its own, so one of a client that is no longer allowed would go on for ever.
    for (const [key, { session }] of this.#sessions) {
      if (!this.#ranges.allows(session.client.address)) this.#end(key, 'denied');
    }
    this.targetsChanged(changeOf(before, group.view));
    this.#sweepLater();
  }

  /** A session moves with its next datagram; until then, what its old target still sends is passed on for a while. */
  targetsChanged({ left, joined }: TargetsChange): void {
    for (const node of joined) {
      if (this.#strays(node).length > 0) continue;
      this.#leaving.get(node)?.();
      this.#leaving.delete(node);
    }
    for (const node of left) {
      if (this.#leaving.has(node) || this.#sessions.size === 0) continue;
      const unlink = (): void => {
        this.#leaving.delete(node);
        for (const session of this.#strays(node)) session.unlink();
      };
      this.#leaving.set(node, this.#parts.clock.after(this.#spec.settings.drainTimeoutMs, unlink));
    }
    this.#parts.selector.forget(left);
    this.#parts.metrics.keepTargets((node) => this.#group.view.has(node));
  }

  /** Sessions with the node that nobody new would be given: it is no longer a target, or has another address. */
  #strays(node: string): readonly UdpSession[] {
    return [...this.#sessions.values()].flatMap(({ session }) => {
      const { goingTo } = session;
      return goingTo?.node === node && !this.#parts.selector.hasNode(goingTo) ? [session] : [];
    });
  }

  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    this.#cancelSweep?.();
    for (const cancel of this.#leaving.values()) cancel();
    for (const key of this.#sessions.keys()) this.#end(key, 'drained');
    if (!this.#hasEnded) this.#socket.close();
    this.#parts.metrics.close();
    return Promise.resolve();
  }

  #receive(datagram: Buffer, { address: from, port }: RemoteInfo): void {
    if (port === 0) {
      // Nobody can be answered at port 0 (RFC 768: it says that no answer is wanted).
      this.#parts.metrics.dropped('no-port');
      return;
    }
    const key = `${from} ${port}`;
    const known = this.#sessions.get(key);
    if (known) {
      this.#touch(key, known);
      known.session.send(datagram);
      return;
    }
    const { metrics } = this.#parts;
    const client = { address: clientAddress(from), port };
    if (!this.#ranges.allows(client.address)) {
      metrics.dropped('denied');
    } else if (!this.#makeRoom()) {
      metrics.dropped('no-room');
    } else {
      const entry: Entry = {
        session: new UdpSession({ ...this.#parts, client, reply: (answer) => this.#reply(key, answer, from, port) }),
        activeAt: this.#parts.clock.now(),
      };
      metrics.opened();
      this.#sessions.set(key, entry);
      this.#sweepLater();
      entry.session.send(datagram);
    }
  }

  #reply(key: string, datagram: Buffer, address: string, port: number): void {
    const entry = this.#sessions.get(key);
    if (!entry) return;
    const { metrics } = this.#parts;
    this.#touch(key, entry);
    try {
      if (this.#socket.getSendQueueSize() > MOST_QUEUED_BYTES) {
        metrics.dropped('queue-full');
        return;
      }
      this.#socket.send(datagram, port, address, (error) => {
        if (error) metrics.dropped('send-failed');
      });
      metrics.bytes('out', datagram.length);
    } catch {
      // The socket has ended by itself, or the address is none that can be sent to.
      metrics.dropped('send-failed');
    }
  }

  #makeRoom(): boolean {
    const enter = (): boolean => this.#parts.lane.enter(() => {}) === 'admitted';
    if (enter() || (this.#parts.lane.takeOver() && enter())) return true;
    this.#endSilent();
    return enter();
  }

  #endSilent(): void {
    const [silent] = this.#sessions.keys();
    if (silent !== undefined) this.#end(silent, 'overflow');
  }

  #touch(key: string, entry: Entry): void {
    entry.activeAt = this.#parts.clock.now();
    this.#sessions.delete(key);
    this.#sessions.set(key, entry);
  }

  #end(key: string, result: Result): void {
    const entry = this.#sessions.get(key);
    if (!entry) return;
    this.#sessions.delete(key);
    entry.session.end();
    this.#parts.metrics.ended(result);
    this.#parts.lane.leave();
  }

  #sweepLater(): void {
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
    const [oldest] = this.#sessions.values();
    if (!oldest) return;
    const left = oldest.activeAt + this.#spec.settings.idleTimeoutMs - this.#parts.clock.now();
    this.#cancelSweep = this.#parts.clock.after(Math.max(0, left), () => this.#sweep());
  }

  #sweep(): void {
    const silentSince = this.#parts.clock.now() - this.#spec.settings.idleTimeoutMs;
    for (const [key, { activeAt }] of this.#sessions) {
      if (activeAt > silentSince) break;
      this.#end(key, 'idle');
    }
    this.#sweepLater();
  }
}
