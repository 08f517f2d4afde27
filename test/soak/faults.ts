/** Makes the faults of a script, and takes all of them away at the end of a round. */
import { setTimeout as sleep } from 'node:timers/promises';
import { refusal } from '#test/chaos/api-server';
import { firstTimes, type Fault, type FaultProxy, type Rule } from '#test/chaos/fault-proxy';
import { leaderOf } from './leader.ts';
import { Random } from './random.ts';
import type { Replica } from './replica.ts';
import type { FaultAction, Which } from './script.ts';
import type { SoakCluster } from './cluster.ts';

/** How much later a request comes when the network is slow. */
const DELAY_MS = 400;

type NetworkAction = Extract<FaultAction, { do: 'network' }>;

export class Faults {
  readonly #cluster: SoakCluster;
  /** Each fault that lasts: until its time is over, or the round is. */
  readonly #running = new Set<Promise<void>>();
  readonly #untilEnd = new Set<() => void>();

  constructor(cluster: SoakCluster) {
    this.#cluster = cluster;
  }

  /** Resolves when the fault has begun. */
  async make(action: FaultAction): Promise<void> {
    switch (action.do) {
      case 'network':
        for (const { proxy } of await this.#chosen(action.which)) await this.#disturb(proxy, action);
        return;
      case 'cut-connections':
        for (const { proxy } of await this.#chosen(action.which)) proxy.cutAll();
        return;
      case 'cut-watches': {
        const { afterBytes, times } = action;
        for (const { proxy } of await this.#chosen(action.which)) {
          // Streams that are open do not ask again by themselves.
          this.#untilEnd.add(proxy.use(firstTimes(times, ({ isWatch }) => isWatch, { kind: 'cut', afterBytes })));
          proxy.cutAll();
        }
        return;
      }
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
    const remove = proxy.use(ruleOf(action));
    // Watches that are open ask for nothing: they are cut, so that the fault meets what follows, too.
    if (fault === 'gone') proxy.cutAll();
    this.#lasting(forMs, () => {
      remove();
      proxy.release();
    });
  }

  #lasting(forMs: number, undo: () => void | Promise<void>): void {
    const over = sleep(forMs).then(undo);
    this.#running.add(over);
    void over.then(() => this.#running.delete(over));
  }
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
