/** Makes the faults of a script, and takes all of them away at the end of a round. */
import { setTimeout as sleep } from 'node:timers/promises';
import { refusal } from '#test/chaos/api-server';
import {
  always,
  firstTimes,
  type Exchange,
  type Fault,
  type FaultProxy,
  type Match,
  type Rule,
} from '#test/chaos/fault-proxy';
import { leaderOf } from './leader.ts';
import { Random } from './random.ts';
import type { Replica } from './replica.ts';
import type { Action, FaultAction, Which } from './script.ts';
import type { SoakCluster } from './cluster.ts';

/** How much later a request comes when the network is slow. */
const DELAY_MS = 400;

/** So much longer do lists stay old: watches that break are asked for again after some seconds, and lists after those. */
const RELIST_MS = 5_000;

/** What the controllers list, and watch from then on. */
const COLLECTIONS = ['/api/v1/services', '/api/v1/nodes', '/apis/discovery.k8s.io/v1/endpointslices'] as const;

type NetworkAction = Extract<FaultAction, { do: 'network' | 'cloud-network' }>;
type CutAction = Extract<FaultAction, { do: 'cut-watches' | 'cut-lists' }>;

export class Faults {
  readonly #cluster: SoakCluster;
  /** Each fault that lasts: until its time is over, or the round is. */
  readonly #running = new Set<Promise<void>>();
  readonly #untilEnd = new Set<() => void>();
  /** The lists as they were at the begin of the round, as JSON by path. */
  #oldLists: ReadonlyMap<string, string> = new Map();

  constructor(cluster: SoakCluster) {
    this.#cluster = cluster;
  }

  /** To be called at the begin of the round, with what it will do. */
  async prepare(actions: readonly Action[]): Promise<void> {
    if (!actions.some((action) => action.do === 'network' && action.fault === 'stale-lists')) return;
    const { plane } = this.#cluster;
    const lists = COLLECTIONS.map(async (path) => [path, JSON.stringify(await plane.request('GET', path))] as const);
    this.#oldLists = new Map(await Promise.all(lists));
  }

  /** Resolves when the fault has begun. */
  async make(action: FaultAction): Promise<void> {
    switch (action.do) {
      case 'network':
        for (const { proxy } of await this.#chosen(action.which)) await this.#disturb(proxy, action);
        return;
      case 'cloud-network':
        for (const { cloudProxy } of await this.#chosen(action.which)) {
          if (cloudProxy) await this.#disturb(cloudProxy, action);
        }
        return;
      case 'cut-connections':
        for (const { proxy } of await this.#chosen(action.which)) proxy.cutAll();
        return;
      case 'cut-watches':
      case 'cut-lists':
        for (const { proxy } of await this.#chosen(action.which)) this.#cut(proxy, action);
        return;
      case 'kill-api-server':
        await this.#cluster.plane.killApiServer();
        await sleep(action.forMs);
        // Operations need it, and so does the next of these faults: it is back before anything else happens.
        return this.#cluster.plane.restartApiServer();
      case 'pause-api-server':
        this.#cluster.plane.pauseApiServer();
        this.#lasting(action.forMs, () => this.#cluster.plane.resumeApiServer());
        return;
      case 'terminate':
      case 'kill':
        for (const replica of await this.#chosen(action.which)) {
          replica.signal(action.do === 'kill' ? 'SIGKILL' : 'SIGTERM');
          await replica.ended();
        }
        return;
      case 'pause':
        for (const replica of await this.#chosen(action.which)) {
          const { pid } = replica;
          replica.signal('SIGSTOP');
          this.#lasting(action.forMs, () => {
            if (replica.pid === pid) replica.signal('SIGCONT');
          });
        }
    }
  }

  /** Resolves when every fault is over; those that have a time of their own last as long as that. */
  async end(): Promise<void> {
    for (const undo of this.#untilEnd) undo();
    this.#untilEnd.clear();
    await Promise.all(this.#running);
  }

  async #chosen(which: Which): Promise<readonly Replica[]> {
    const { replicas } = this.#cluster;
    if (which === 'both') return replicas;
    const leader = await leaderOf(replicas);
    if (which === 'leader') return leader ? [leader] : replicas.slice(0, 1);
    return replicas.filter((replica) => replica !== leader).slice(0, 1);
  }

  #cut(proxy: FaultProxy, { do: kind, afterBytes, times, how = 'reset' }: CutAction): void {
    const cut: Fault = { kind: 'cut', afterBytes, how };
    if (kind === 'cut-watches') {
      this.#untilEnd.add(proxy.use(firstTimes(times, isWatch, cut)));
    } else {
      this.#untilEnd.add(proxy.use(firstTimes(COLLECTIONS.length, isWatch, refusal(410))));
      this.#untilEnd.add(proxy.use(firstTimes(times, isList, cut)));
    }
    // Streams that are open do not ask again by themselves.
    proxy.cutAll();
  }

  async #disturb(proxy: FaultProxy, action: NetworkAction): Promise<void> {
    const { fault, forMs } = action;
    if (fault === 'freeze') {
      proxy.freeze();
      return this.#lasting(forMs, () => proxy.thaw());
    }
    if (fault === 'no-connection') {
      await proxy.refuse();
      return this.#lasting(forMs, () => proxy.accept());
    }
    const remove = fault === 'stale-lists' ? this.#staleLists(proxy) : proxy.use(ruleOf(action));
    // Watches that are open ask for nothing: they are cut, so that the fault meets what follows, too.
    if (fault === 'gone' || fault === 'stale-lists') proxy.cutAll();
    this.#lasting(fault === 'stale-lists' ? forMs + RELIST_MS : forMs, () => {
      remove();
      proxy.release();
    });
  }

  /** The next watches are refused, so that lists are asked for, and those are old. */
  #staleLists(proxy: FaultProxy): () => void {
    const undo = [
      proxy.use(firstTimes(COLLECTIONS.length, isWatch, refusal(410))),
      ...[...this.#oldLists].map(([path, body]) =>
        proxy.use(
          always((exchange) => isList(exchange) && pathOf(exchange) === path, { kind: 'answer', status: 200, body }),
        ),
      ),
    ];
    return () => undo.forEach((each) => each());
  }

  #lasting(forMs: number, undo: () => void | Promise<void>): void {
    const over = sleep(forMs).then(undo);
    this.#running.add(over);
    void over.then(() => this.#running.delete(over));
  }
}

const isCollection: Match = (exchange) => COLLECTIONS.some((path) => path === pathOf(exchange));
const isWatch: Match = (exchange) => exchange.isWatch && isCollection(exchange);
const isList: Match = (exchange) => exchange.method === 'GET' && !exchange.isWatch && isCollection(exchange);

function pathOf({ path }: Exchange): string {
  return path.split('?')[0] ?? '';
}

/** Each request is hit or not as the fault's own seed says. */
function ruleOf({ fault, share, seed }: NetworkAction): Rule {
  const random = new Random(seed);
  return ({ method, isWatch }) => {
    if (!random.chance(share)) return undefined;
    switch (fault) {
      case 'refusals':
        return random.pick<Fault>([refusal(429, { retryAfterSeconds: 1 }), refusal(500), refusal(503)]);
      case 'gone':
        return isWatch ? refusal(410) : undefined;
      case 'slow':
        return { kind: 'delay', milliseconds: DELAY_MS };
      case 'lost-responses':
        return method === 'GET' ? undefined : { kind: 'lose-response' };
      case 'hang':
        return { kind: 'hang' };
      default:
        return undefined;
    }
  };
}
