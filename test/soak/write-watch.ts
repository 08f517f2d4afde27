/**
 * Watches what the controllers write while they are disturbed: nothing without the Lease, and not the same again and
 * again. It sees each request as it comes to the fault proxies.
 */
import type { Exchange } from '#test/chaos/fault-proxy';
import type { Replica } from './replica.ts';

/** How long a request may be under way after its sender has seen that it still leads. */
const UNDER_WAY_MS = 2_000;
/** A process may be stopped right between that and the sending; what it then sends late is one request. */
const STOPPED_BEFORE_SENDING = 1;
/** Where this process is held up, those that it watches are as well: so many times may they be. */
const STALL_FACTOR = 4;
const TICK_MS = 100;
/** Stalls longer ago than this explain nothing. */
const STALLS_FOR_MS = 30_000;
/** Leases that were granted longer ago are of no interest. */
const GRANTS = 50;
/** Writes that a round may take, and how many more with each of its actions: far more than are needed. */
const CEILINGS = {
  service: { least: 30, each: 4 },
  cloud: { least: 250, each: 50 },
} as const;

/** What of a replica is watched. */
export type Watched = Pick<Replica, 'name' | 'proxy' | 'cloudProxy' | 'lastWords'>;

interface Grant {
  readonly at: number;
  /** The Lease was given back. */
  readonly isEnd: boolean;
}

export class WriteWatch implements Disposable {
  /** What must never happen, happened: each as a sentence. */
  readonly complaints: string[] = [];
  readonly #leaseMs: number;
  readonly #timer: NodeJS.Timeout;
  #stalls: readonly { readonly at: number; readonly ms: number }[] = [];
  #tickAt: number;
  /** By what is written: a path of the API server, or the cloud. */
  #counts = new Map<string, number>();
  #actions = 0;
  readonly #late = new Map<Watched, number>();

  /** `leaseMs`: after so many milliseconds without a renewal somebody else may lead. */
  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
    this.#tickAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** A round begins, in which so much is done to the cluster. */
  begin(actions: number): void {
    this.#actions = actions;
    this.#counts = new Map();
    this.#late.clear();
  }

  /** How often one Service was written in this round, at the most. */
  get mostToOneService(): number {
    return Math.max(0, ...[...this.#counts].filter(([what]) => what !== CLOUD).map(([, count]) => count));
  }

  /** Writes to the cloud in this round. */
  get toCloud(): number {
    return this.#counts.get(CLOUD) ?? 0;
  }

  follow(replica: Watched): void {
    const grants: Grant[] = [];
    replica.proxy.after((exchange) => {
      if (exchange.method === 'GET' || !succeeded(exchange)) return;
      if (isLease(exchange)) {
        grants.push({ at: exchange.at, isEnd: isEnd(exchange) });
        if (grants.length > GRANTS) grants.shift();
        return;
      }
      this.#checkLease(replica, exchange, grants);
      if (exchange.method === 'PATCH' && SERVICE.test(exchange.path)) this.#count(replica, serviceOf(exchange));
    });
    replica.cloudProxy?.after((exchange) => {
      if (exchange.method === 'GET' || !succeeded(exchange)) return;
      this.#checkLease(replica, exchange, grants);
      this.#count(replica, CLOUD);
    });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #checkLease(replica: Watched, { at, method, path }: Exchange, grants: readonly Grant[]): void {
    const grant = grants.findLast((each) => each.at <= at);
    const patience = UNDER_WAY_MS + STALL_FACTOR * this.#longestStallMs;
    const until = grant === undefined ? -Infinity : grant.at + (grant.isEnd ? 0 : this.#leaseMs) + patience;
    if (at <= until) return;
    const late = (this.#late.get(replica) ?? 0) + 1;
    this.#late.set(replica, late);
    if (grant !== undefined && late <= STOPPED_BEFORE_SENDING) return;
    const since = grant === undefined ? 'never had it' : `had last renewed it ${Math.round(at - grant.at)} ms before`;
    this.complaints.push(`${replica.name} wrote without the Lease (${method} ${path}): it ${since}.`);
  }

  #count(replica: Watched, what: string): void {
    const count = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, count);
    const { least, each } = what === CLOUD ? CEILINGS.cloud : CEILINGS.service;
    if (count !== least + each * this.#actions + 1) return;
    this.complaints.push(`${what} was written ${count} times in a round of ${this.#actions} actions.`);
    this.complaints.push(`${replica.name} wrote last; it said:\n${replica.lastWords()}`);
  }

  #tick(): void {
    const now = performance.now();
    const ms = now - this.#tickAt - TICK_MS;
    this.#tickAt = now;
    const recent = this.#stalls.filter(({ at }) => now - at < STALLS_FOR_MS);
    this.#stalls = ms > TICK_MS ? [...recent, { at: now, ms }] : recent;
  }

  /** The present one, if there is one, counts as well. */
  get #longestStallMs(): number {
    return Math.max(performance.now() - this.#tickAt - TICK_MS, 0, ...this.#stalls.map(({ ms }) => ms));
  }
}

const CLOUD = 'The cloud';
const SERVICE = /\/services\/[^/?]+(\/status)?(\?|$)/;

function succeeded({ status = 0 }: Exchange): boolean {
  return status >= 200 && status < 300;
}

function isLease({ path }: Exchange): boolean {
  return path.includes('/leases');
}

function isEnd({ body }: Exchange): boolean {
  const lease: { readonly spec?: { readonly holderIdentity?: string } } = JSON.parse(body);
  return (lease.spec?.holderIdentity ?? '') === '';
}

/** `/api/v1/namespaces/soak-a/services/w1`, of the status as well. */
function serviceOf({ path }: Exchange): string {
  return path.replace(/(\/status)?(\?.*)?$/, '');
}
