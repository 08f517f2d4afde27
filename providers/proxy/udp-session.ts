import type { Socket } from 'node:dgram';
import type { Clock } from './clock.ts';
import { faultOf } from './local-fault.ts';
import type { ListenerMetrics } from './metrics.ts';
import type { ProxyOptions } from './options.ts';
import type { Names } from './balancer.ts';
import type { Selector, Target } from './selector.ts';
import type { Client } from './tcp-connection.ts';
import { MOST_QUEUED_BYTES, udpSocket } from './udp-socket.ts';

/** Datagrams kept while the socket to a target is made. */
const MOST_PENDING = 16;
/** How long a target that refused is passed over: until then its health check has noticed, or it is there again. */
const PASSED_OVER_MS = 1_000;

export interface SessionParts {
  readonly client: Client;
  readonly selector: Selector;
  readonly metrics: ListenerMetrics;
  readonly clock: Clock;
  readonly options: Pick<ProxyOptions, 'connectAttempts'>;
  /** Passes a datagram of the target on to the client. */
  readonly reply: (datagram: Buffer) => void;
}

/** A datagram of the client's, and how many targets it was for that did not get it. */
interface Parcel {
  readonly datagram: Buffer;
  readonly failures: number;
}

/** A socket to one target. */
interface Link {
  readonly target: Target;
  readonly socket: Socket;
  /** Waiting for the socket; undefined once it is connected. */
  pending: Parcel[] | undefined;
  sent: number;
  answered: boolean;
  /** The only datagram so far, as long as nothing came back. */
  only: Parcel | undefined;
}

/**
 * One client's datagrams, from one address and port, all to the same target, through a socket of their own: so replies
 * find the way back, and a target that refuses shows up as an error of that socket.
 */
export class UdpSession {
  readonly client: Client;
  readonly #parts: SessionParts;
  /** Targets that refused, and when; the one that did so first comes first. */
  readonly #refused = new Map<string, number>();
  #link: Link | undefined;
  #ended = false;

  constructor(parts: SessionParts) {
    this.client = parts.client;
    this.#parts = parts;
  }

  /** Where it goes. */
  get goingTo(): Target | undefined {
    return this.#link?.target;
  }

  send(datagram: Buffer): void {
    this.#forward({ datagram, failures: 0 });
  }

  #forward(parcel: Parcel): void {
    const { selector, metrics } = this.#parts;
    if (this.#link && !selector.isStillGood(this.#link.target, this.#passedOver())) this.unlink();
    const link = this.#link ?? this.#open();
    if (!link) {
      this.#refused.clear();
      metrics.dropped('no-target');
      return;
    }
    if (!link.pending) this.#pass(link, parcel);
    else if (link.pending.length < MOST_PENDING) link.pending.push(parcel);
    else metrics.dropped('queue-full');
  }

  /** Leaves the target; the next datagram goes to another. */
  unlink(): void {
    const link = this.#link;
    if (!link) return;
    this.#link = undefined;
    this.#parts.selector.closed(link.target.node);
    link.socket.close();
  }

  end(): void {
    this.#ended = true;
    this.unlink();
  }

  #open(): Link | undefined {
    const { selector } = this.#parts;
    const target = selector.next(this.client.address, this.#passedOver());
    if (!target) return undefined;
    const socket = udpSocket(target.host);
    const link: Link = { target, socket, pending: [], sent: 0, answered: false, only: undefined };
    this.#link = link;
    selector.opened(target.node);
    socket.on('error', (error) => this.#failed(link, error, link.only));
    socket.on('message', (datagram) => this.#answered(link, datagram));
    // With a callback, connecting tells it alone what went wrong.
    socket.connect(target.port, target.host, (error?: Error) => {
      if (this.#link !== link) return;
      if (error) {
        this.#failed(link, error, undefined);
        return;
      }
      const pending = link.pending ?? [];
      link.pending = undefined;
      // To this target as long as it is the one: choosing anew here could go on for ever.
      for (const parcel of pending) {
        if (this.#link === link) this.#pass(link, parcel);
        else this.#forward(parcel);
      }
    });
    return link;
  }

  /** The targets that refused of late. */
  #passedOver(): Names {
    const since = this.#parts.clock.now() - PASSED_OVER_MS;
    for (const [node, at] of this.#refused) {
      if (at >= since) break;
      this.#refused.delete(node);
    }
    return this.#refused;
  }

  #pass(link: Link, parcel: Parcel): void {
    const { metrics } = this.#parts;
    const { datagram } = parcel;
    try {
      if (link.socket.getSendQueueSize() > MOST_QUEUED_BYTES) {
        metrics.dropped('queue-full');
        return;
      }
      link.socket.send(datagram, (error) => {
        // The kernel tells of an earlier refusal instead of sending; so this one has gone nowhere.
        if (error) this.#failed(link, error, parcel);
      });
    } catch {
      // The socket is not what it was; the next datagram gets another.
      this.unlink();
      metrics.dropped('send-failed');
      return;
    }
    link.sent++;
    link.only = link.sent === 1 ? parcel : undefined;
    metrics.bytes('in', datagram.length);
  }

  #answered(link: Link, datagram: Buffer): void {
    if (this.#link !== link) return;
    const { selector, metrics, reply } = this.#parts;
    link.only = undefined;
    if (!link.answered) {
      link.answered = true;
      metrics.target(link.target.node, 'reached');
    }
    selector.reached(link.target.node);
    reply(datagram);
  }

  /**
   * The target refused (ICMP, RFC 1122 4.1.3.3) or cannot be reached from here. `undelivered` is a datagram that surely
   * reached nobody: it goes to another target, to so many at most. Others may have been lost too, as datagrams may.
   */
  #failed(link: Link, error: NodeJS.ErrnoException, undelivered: Parcel | undefined): void {
    if (this.#ended || this.#link !== link) return;
    const { selector, metrics, clock, options } = this.#parts;
    const waiting = link.pending ?? [];
    this.unlink();
    const left = undelivered ? [undelivered, ...waiting] : waiting;
    const fault = faultOf(error);
    if (fault === 'machine') {
      for (let count = 0; count < Math.max(1, left.length); count++) metrics.dropped('send-failed');
      return;
    }
    if (fault === 'target') selector.failed(link.target.node);
    metrics.target(link.target.node, 'failed');
    // What refused before this one answered may be there again.
    if (link.answered) this.#refused.clear();
    this.#refused.delete(link.target.node);
    this.#refused.set(link.target.node, clock.now());
    for (const { datagram, failures } of left) {
      if (failures + 1 >= options.connectAttempts) {
        metrics.dropped('no-target');
        continue;
      }
      metrics.retried();
      this.#forward({ datagram, failures: failures + 1 });
    }
  }
}
