import { proxyApiServer } from '#test/chaos/api-server';
import { spawnController, type ControllerProcess } from '#test/chaos/controller-process';
import type { Exchange } from '#test/chaos/fault-proxy';
import { KillSwitch } from '#test/chaos/kill-switch';
import { startControlPlane } from '#test/control-plane/control-plane';
import { Cluster } from '../service/cluster.ts';
import type { KillTestOptions, Outside } from './outside.ts';
import { Place } from './place.ts';

/** The gate of what the controller writes into the cluster. */
export const API_SERVER = 'API server';

/**
 * A cluster and an outside of its own, with one controller at a time; cases play in it one after the other. Whoever
 * made the case before good is the one that is killed in the next.
 */
export class Lane {
  readonly cluster: Cluster;
  readonly outside: Outside;
  readonly killSwitch: KillSwitch;
  readonly #options: KillTestOptions;
  readonly #kubeconfigPath: string;
  readonly #closeProxy: () => Promise<void>;
  /** Rejects when a controller ends that nobody has killed. */
  readonly #lost: PromiseWithResolvers<never> = Promise.withResolvers();
  #controller: ControllerProcess;
  #isKilled = false;

  private constructor(
    options: KillTestOptions,
    parts: { readonly cluster: Cluster; readonly outside: Outside } & Awaited<ReturnType<typeof proxyApiServer>>,
  ) {
    const { cluster, outside, proxy, kubeconfigPath } = parts;
    this.cluster = cluster;
    this.outside = outside;
    this.#options = options;
    this.#kubeconfigPath = kubeconfigPath;
    this.#closeProxy = () => proxy.close();
    this.killSwitch = new KillSwitch([{ name: API_SERVER, proxy, isEffect: isServiceWrite }, ...outside.gates]);
    this.#lost.promise.catch(() => {});
    this.#controller = this.#spawn();
  }

  static async open(options: KillTestOptions): Promise<Lane> {
    const cluster = new Cluster();
    const plane = await startControlPlane();
    cluster.start(plane);
    await Place.createNodes(cluster);
    return new Lane(options, { cluster, outside: await options.openOutside(), ...(await proxyApiServer(plane)) });
  }

  async newPlace(): Promise<Place> {
    const { provider, loadBalancerClass } = this.#options;
    return new Place({
      cluster: this.cluster,
      namespace: await this.cluster.namespace('kill'),
      outside: this.outside,
      provider,
      loadBalancerClass,
      lost: this.#lost.promise,
      hint: () => {
        const log = this.#controller.linesAbout('').slice(-25).join('\n');
        return `\nlast effects:\n${this.killSwitch.lately}\nlog of the last controller:\n${log}`;
      },
    });
  }

  /** Ends the controller as a crash would. */
  async killController(): Promise<void> {
    this.#isKilled = true;
    await this.#controller.kill();
  }

  /** Another process takes over. */
  startController(): void {
    this.#isKilled = false;
    this.#controller = this.#spawn();
  }

  async close(): Promise<void> {
    await this.killController();
    await this.outside.close();
    await this.#closeProxy();
    await this.cluster.stop();
  }

  #spawn(): ControllerProcess {
    const { program, provider } = this.#options;
    const flags = [
      ['--kubeconfig', this.#kubeconfigPath],
      ['--providers', provider],
      ['--default-provider', provider],
      ['--metrics-bind-address', '0'],
      ['--leader-elect', 'false'],
      ['--log-level', 'debug'],
    ].flat();
    const controller = spawnController({ program, flags: [...flags, ...this.outside.flags] });
    void this.#watchOver(controller);
    return controller;
  }

  async #watchOver(controller: ControllerProcess): Promise<void> {
    const exit = await controller.exited;
    if (this.#isKilled) return;
    const log = controller.linesAbout('').slice(-10).join('\n');
    this.#lost.reject(new Error(`the controller has ended by itself: ${JSON.stringify(exit)}\n${log}`));
  }
}

/** As many cases at once; each has a cluster of its own, for nodes are the business of all Services. */
const LANES = 2;

/** Lends lanes; opens them as they are needed. */
export class Lanes {
  readonly #options: KillTestOptions;
  readonly #free: Lane[] = [];
  readonly #waiting: (() => void)[] = [];
  #lent = 0;

  constructor(options: KillTestOptions) {
    this.#options = options;
  }

  /** A lane in which something failed is not used again. */
  async use(work: (lane: Lane) => Promise<void>): Promise<void> {
    while (this.#lent === LANES) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#lent += 1;
    let lane: Lane | undefined;
    try {
      lane = this.#free.pop() ?? (await Lane.open(this.#options));
      await work(lane);
      this.#free.push(lane);
    } catch (error) {
      await lane?.close();
      throw error;
    } finally {
      this.#lent -= 1;
      this.#waiting.shift()?.();
    }
  }

  async close(): Promise<void> {
    for (const lane of this.#free.splice(0)) await lane.close();
  }
}

/** Events are told beside the work and not waited for; whether one is lost with the process changes nothing. */
function isServiceWrite({ method, path }: Exchange): boolean {
  return method !== 'GET' && /^\/api\/v1\/namespaces\/[^/]+\/services\//.test(path);
}
