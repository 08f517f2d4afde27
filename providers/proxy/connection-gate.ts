/**
 * Limits on connections: over all listeners, and for each. Node accepts every connection that the kernel has (its own
 * `maxConnections` drops what is too much), so the waiting happens here: a connection over a limit stays open and
 * unread, which fills the client's window and makes it wait, until another ends. Only so many may wait.
 */

/** One listener's part in the gate. Connections that wait are admitted in the order in which they came. */
export class Lane {
  readonly #gate: ConnectionGate;
  readonly #waiting = new Set<() => void>();
  #limit: number;
  #active = 0;

  constructor(gate: ConnectionGate, limit: number) {
    this.#gate = gate;
    this.#limit = limit;
  }

  get active(): number {
    return this.#active;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get hasRoom(): boolean {
    return this.#active < this.#limit;
  }

  setLimit(limit: number): void {
    this.#limit = limit;
    this.#gate.admitWaiting();
  }

  /**
   * `admitted`: there is room, now taken. `waiting`: `admit` will be called once there is, unless `abandon` comes
   * before. `full`: too many wait already.
   */
  enter(admit: () => void): 'admitted' | 'waiting' | 'full' {
    // Nobody overtakes those who wait already.
    if (this.#waiting.size === 0 && this.hasRoom && this.#gate.hasRoom) {
      this.take();
      return 'admitted';
    }
    if (!this.#gate.mayWait(this)) return 'full';
    this.#waiting.add(admit);
    this.#gate.waits(this);
    return 'waiting';
  }

  /** Gives up waiting. */
  abandon(admit: () => void): void {
    if (this.#waiting.delete(admit)) this.#gate.waitedOne(this);
  }

  /** Ends an admitted connection. */
  leave(): void {
    this.#active--;
    this.#gate.freed();
  }

  /** Takes room; only for the gate and for `enter`. */
  take(): void {
    this.#active++;
    this.#gate.taken();
  }

  /** The connection that has waited longest, no longer waiting. */
  next(): (() => void) | undefined {
    const [admit] = this.#waiting;
    if (admit) this.abandon(admit);
    return admit;
  }
}

export class ConnectionGate {
  readonly #limit: number;
  readonly #mostWaiting: number;
  /** Lanes in which somebody waits, the one whose turn it is first. */
  readonly #queued = new Set<Lane>();
  #active = 0;
  #waiting = 0;

  constructor(limit: number, mostWaiting: number) {
    this.#limit = limit;
    this.#mostWaiting = mostWaiting;
  }

  get active(): number {
    return this.#active;
  }

  get hasRoom(): boolean {
    return this.#active < this.#limit;
  }

  /** One lane has at most half of the room to wait in, so that a listener with a low limit cannot use it up. */
  mayWait(lane: Lane): boolean {
    return this.#waiting < this.#mostWaiting && lane.waiting < Math.ceil(this.#mostWaiting / 2);
  }

  lane(limit: number = Infinity): Lane {
    return new Lane(this, limit);
  }

  waits(lane: Lane): void {
    this.#waiting++;
    this.#queued.add(lane);
  }

  waitedOne(lane: Lane): void {
    this.#waiting--;
    if (lane.waiting === 0) this.#queued.delete(lane);
  }

  taken(): void {
    this.#active++;
  }

  freed(): void {
    this.#active--;
    this.admitWaiting();
  }

  /** Admits who waits, one from each lane in turn, as long as there is room. */
  admitWaiting(): void {
    for (let admitted = true; admitted && this.hasRoom;) {
      admitted = false;
      for (const lane of this.#queued) {
        if (!this.hasRoom) return;
        if (!lane.hasRoom) continue;
        const admit = lane.next();
        if (!admit) continue;
        admitted = true;
        // Behind the others, so that a busy listener leaves room for a quiet one.
        if (this.#queued.delete(lane)) this.#queued.add(lane);
        lane.take();
        admit();
        break;
      }
    }
  }
}
