/** One of several controller processes; all that it sends to the API server and to the cloud can be seen, and held up. */
import { proxyApiServer } from '#test/chaos/api-server';
import { PROGRAM_WITH_CLOUD, spawnController, type ControllerProcess } from '#test/chaos/controller-process';
import { FaultProxy, type Exchange, type Match } from '#test/chaos/fault-proxy';
import { freePort } from '#test/control-plane/free-port';
import type { Cluster } from '../service/cluster.ts';
import { waitFor } from '../service/wait.ts';

/** For a machine that does ten other things. */
export const PATIENCE = { timeoutMs: 120_000, intervalMs: 20 } as const;

export interface ReplicaOptions {
  readonly flags: readonly string[];
  /** Where the cloud answers, for a replica that works with it. */
  readonly cloudUrl?: string;
}

export interface Times {
  readonly leaseMs: number;
  readonly flags: readonly string[];
}

/** What the flags say when nobody says anything. */
export const DEFAULT_TIMES: Times = { leaseMs: 15_000, flags: [] };

/** Short, and yet long enough for a renewal on a machine that does ten other things. */
export const SHORT_TIMES: Times = {
  leaseMs: 8_000,
  flags: [
    ['--leader-elect-lease-duration', '8s'],
    ['--leader-elect-renew-deadline', '6s'],
    ['--leader-elect-retry-period', '500ms'],
  ].flat(),
};

interface Parts {
  readonly process: ControllerProcess;
  readonly api: FaultProxy;
  readonly cloud: FaultProxy | undefined;
  readonly url: string;
}

export class Replica implements AsyncDisposable {
  readonly process: ControllerProcess;
  readonly api: FaultProxy;
  /** Its way to the cloud; undefined without one. */
  readonly cloud: FaultProxy | undefined;
  /** Of its metrics and health. */
  readonly url: string;
  /** When the API server had carried out the writes of a status, by `performance.now()`. */
  readonly statusWrites: number[] = [];
  /** When it last asked for the Lease, to make or to renew it, and the API server granted that. */
  renewedAt: number | undefined;
  readonly #asked = new Map<Exchange, number>();

  private constructor({ process, api, cloud, url }: Parts) {
    this.process = process;
    this.api = api;
    this.cloud = cloud;
    this.url = url;
    api.before((exchange) => void this.#asked.set(exchange, performance.now()));
    api.after((exchange) => this.#note(exchange));
  }

  /** Resolves when it is ready, leading or not. */
  static async start(cluster: Cluster, { flags, cloudUrl }: ReplicaOptions): Promise<Replica> {
    const { proxy: api, kubeconfigPath } = await proxyApiServer(cluster.plane);
    const cloud = cloudUrl === undefined ? undefined : await FaultProxy.start({ target: cloudUrl });
    const port = await freePort();
    const all = [
      ['--kubeconfig', kubeconfigPath],
      ['--metrics-bind-address', `127.0.0.1:${port}`],
      ['--node-addresses', '127.0.0.0/8'],
      ['--log-level', 'debug'],
      cloud ? ['--providers', 'cloud', '--cloud-url', cloud.url] : [],
      flags,
    ].flat();
    const process = spawnController({ program: PROGRAM_WITH_CLOUD, flags: all });
    const replica = new Replica({ process, api, cloud, url: `http://127.0.0.1:${port}` });
    try {
      await replica.until('it to be ready', async () => (await replica.ask('/readyz')).status === 200);
    } catch (error) {
      await replica[Symbol.asyncDispose]();
      throw error;
    }
    return replica;
  }

  untilLeading(): Promise<void> {
    return this.until('it to lead', async () => this.process.linesAbout('"this process leads"').length > 0);
  }

  /** Waits for something about it; the message of a vain wait shows its log. */
  async until(what: string, is: () => Promise<boolean>): Promise<void> {
    const hint = (): string => `\nlog:\n${this.process.linesAbout('').slice(-25).join('\n')}`;
    await waitFor(what, async () => ((await is()) ? true : undefined), { ...PATIENCE, hint });
  }

  async ask(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(this.url + path, { signal: AbortSignal.timeout(15_000) });
    return { status: response.status, text: await response.text() };
  }

  /** For `writesSince`: what is sent from now on. */
  mark(): Mark {
    return { api: lastIndex(this.api), cloud: this.cloud ? lastIndex(this.cloud) : -1 };
  }

  /** Every request after the mark that was to change something, in the cluster or in the cloud. */
  writesSince(mark: Mark): readonly string[] {
    const after = (proxy: FaultProxy, index: number): readonly string[] =>
      proxy.exchanges
        .filter((each) => each.index > index && each.method !== 'GET')
        .map(({ method, path }) => `${method} ${path}`);
    return [...after(this.api, mark.api), ...(this.cloud ? after(this.cloud, mark.cloud) : [])];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.resume();
    await this.process.kill();
    await this.api.close();
    await this.cloud?.close();
  }

  #note(exchange: Exchange): void {
    const { method, path, body, status = 0 } = exchange;
    const askedAt = this.#asked.get(exchange);
    this.#asked.delete(exchange);
    if (status >= 300) return;
    // A finalizer is put on by the same path.
    if (method === 'PATCH' && path.endsWith('/status') && body.includes('"status":'))
      this.statusWrites.push(performance.now());
    const writesLease = (method === 'PUT' || method === 'POST') && path.includes('/leases');
    if (writesLease) this.renewedAt = askedAt;
  }
}

export interface Mark {
  readonly api: number;
  readonly cloud: number;
}

/** Holds back the answer to the first request that matches, which the server has carried out, until `letGo`. */
export function holdAnswer(proxy: FaultProxy, matches: Match): { readonly isHeld: () => boolean; letGo(): void } {
  const free = Promise.withResolvers<void>();
  let isDue = true;
  proxy.after((exchange) => {
    if (!isDue || !matches(exchange)) return undefined;
    isDue = false;
    return free.promise;
  });
  return { isHeld: () => !isDue, letGo: () => free.resolve() };
}

function lastIndex({ exchanges }: FaultProxy): number {
  return exchanges.at(-1)?.index ?? -1;
}
