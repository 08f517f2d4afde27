import { Ranks } from './lane-ranks.ts';

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
  #endOne: (() => void) | undefined;

  constructor(gate: ConnectionGate, limit: number) {
    this.#gate = gate;
    this.#limit = limit;
  }

  /** From now on, others that have fewer may have one of this lane's ended, which `endOne` does. */
  yields(endOne: () => void): void {
    this.#endOne = endOne;
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

  /**
   * Where the limit over all lanes is what keeps this one from more: has the lane that has most end one of its own,
   * unless that would leave it with fewer than this one then has. Returns whether there is room now.
   */
  takeOver(): boolean {
    const richest = this.#gate.richest;
    if (!this.hasRoom || !richest || richest.active < this.active + 2) return false;
    richest.#endOne?.();
    return this.#gate.hasRoom;
  }

  /** Ends an admitted connection. */
  leave(): void {
    this.#active--;
    this.#gate.freed(this);
  }

  /** Takes room; only for the gate and for `enter`. */
  take(): void {
    this.#active++;
    this.#gate.taken(this);
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
  readonly #ranks = new Ranks<Lane>();
  #active = 0;
  #waiting = 0;
  #isAdmitting = false;

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

  /** The lane that has most connections, or one of them. */
  get richest(): Lane | undefined {
    return this.#ranks.top();
  }

  taken(lane: Lane): void {
    this.#active++;
    this.#ranks.moved(lane, lane.active - 1, lane.active);
  }

  freed(lane: Lane): void {
    this.#active--;
    this.#ranks.moved(lane, lane.active + 1, lane.active);
    this.admitWaiting();
  }

  /**
   * Admits who waits as long as there is room: always from the lane that has the fewest connections, so that a busy
   * listener leaves room for a quiet one; of lanes that have the same, each in turn.
   */
  admitWaiting(): void {
    // Who is admitted may end at once, which calls this again: the loop that is under way sees the room by itself.
    if (this.#isAdmitting) return;
    this.#isAdmitting = true;
    try {
      for (let lane = this.#nextLane(); lane; lane = this.#nextLane()) {
        const admit = lane.next();
        if (!admit) return;
        // Behind the others.
        if (this.#queued.delete(lane)) this.#queued.add(lane);
        lane.take();
        admit();
      }
    } finally {
      this.#isAdmitting = false;
    }
  }

  #nextLane(): Lane | undefined {
    if (!this.hasRoom) return undefined;
    let least: Lane | undefined;
    for (const lane of this.#queued) if (lane.hasRoom && !(least && least.active <= lane.active)) least = lane;
    return least;
  }
}
