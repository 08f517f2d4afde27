/** A control plane of its own with an audit log, and Ballast on it, which grows to any size. */
import { setTimeout as delay } from 'node:timers/promises';
import { startControlPlane, type ControlPlane } from '#test/control-plane/control-plane';
import { Driver } from './driver.ts';
import { createNodes } from './nodes.ts';
import type { Measured } from './scenario.ts';
import { ServiceWatch, createServices, namesOf } from './services-driver.ts';
import { ballast, type RunningBallast } from './subject.ts';
import { untilStable } from './until.ts';

/** Long enough that whatever was to follow has followed, also an Event that waits its turn. */
const QUIET_MS = 1_500;

/** The audit looks at every load balancer by and by, which is not what the counts are about. */
const WITHOUT_AUDIT = ['--resync-period', '24h'];

export class GrownCluster implements AsyncDisposable {
  readonly plane: ControlPlane;
  readonly driver: Driver;
  readonly watch: ServiceWatch;
  readonly #options: Measured;
  #running: RunningBallast | undefined;
  #nodes = 0;
  #services = 0;

  private constructor(plane: ControlPlane, driver: Driver, watch: ServiceWatch, options: Measured) {
    this.plane = plane;
    this.driver = driver;
    this.watch = watch;
    this.#options = options;
  }

  static async start(options: Measured): Promise<GrownCluster> {
    const plane = await startControlPlane({ progress: options.progress, audit: 'Metadata' });
    const driver = new Driver(plane);
    return new GrownCluster(plane, driver, await ServiceWatch.start(driver), options);
  }

  /** The controller that runs. */
  get controller(): RunningBallast {
    if (!this.#running) throw new Error('no controller was started');
    return this.#running;
  }

  get nodes(): number {
    return this.#nodes;
  }

  get services(): number {
    return this.#services;
  }

  async startController(): Promise<void> {
    await this.stopController();
    this.#running = await ballast({ nodeFlags: this.#options.nodeFlags, flags: WITHOUT_AUDIT }).start(this.plane);
  }

  async stopController(): Promise<void> {
    await this.#running?.stop();
    this.#running = undefined;
  }

  /** So many nodes more. */
  async addNodes(count: number): Promise<void> {
    await createNodes(this.driver, this.#nodes, count);
    this.#nodes += count;
  }

  /** Makes it that many Services, all with an address. Needs the controller. */
  async growTo(count: number): Promise<void> {
    const names = namesOf('all', count).slice(this.#services);
    await createServices(this.driver, names);
    await this.watch.untilAddressed(names);
    this.#services = count;
    await this.settle();
  }

  /** How many load balancers have been looked at so far. */
  reconciles(): Promise<number> {
    return this.controller.metric('ballast_reconcile_total');
  }

  /** Resolves when the controller has nothing to do any more. */
  async settle(): Promise<void> {
    await delay(QUIET_MS);
    await untilStable(
      'the controller',
      async () => {
        const { metric } = this.controller;
        return (
          (await metric('ballast_reconcile_total')) + (await metric('rest_client_requests_total', 'method="POST"'))
        );
      },
      QUIET_MS,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch[Symbol.dispose]();
    await this.stopController();
    await this.driver.close();
    await this.plane.stop();
  }
}
