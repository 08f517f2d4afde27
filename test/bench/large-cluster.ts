import { GrownCluster } from './grown-cluster.ts';
import type { Measured } from './scenario.ts';
import { count } from './scenario.ts';

/** The cluster that several scenarios of one run share: made for the first of them, ended with the run. */
export class LargeCluster implements AsyncDisposable {
  readonly #options: Measured;
  readonly #nodes: number;
  #cluster: Promise<GrownCluster> | undefined;

  constructor(options: Measured, nodes: number) {
    this.#options = options;
    this.#nodes = nodes;
  }

  get(): Promise<GrownCluster> {
    return (this.#cluster ??= this.#make());
  }

  async #make(): Promise<GrownCluster> {
    this.#options.progress(`a large cluster: ${count(this.#nodes)} nodes`);
    const cluster = await GrownCluster.start(this.#options);
    await cluster.addNodes(this.#nodes);
    return cluster;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const cluster = await this.#cluster?.catch(() => undefined);
    await cluster?.[Symbol.asyncDispose]();
  }
}
