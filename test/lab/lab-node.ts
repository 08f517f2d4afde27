import { rm } from 'node:fs/promises';
import { signalProcess } from '../control-plane/process-identity.ts';
import type { PerFamily } from './addresses.ts';
import { labCgroups, removeCgroups, setFrozen } from './cgroups.ts';
import { killNode } from './clear.ts';
import type { LabContext } from './context.ts';
import { snapshotterFor } from './directory.ts';
import { insideCommand } from './enter.ts';
import { LabError, LabRequestError } from './errors.ts';
import { namespaceName } from './names.ts';
import { setLink, unplug } from './network.ts';
import { bootNode, releaseNode, routeNodes, unrouteNode } from './node-boot.ts';
import { placeImage } from './node-files.ts';
import { waitForNode } from './node-ready.ts';
import { run, type RunOptions, type RunResult } from './run.ts';
import type { NodeRecord } from './state.ts';

export interface WaitingOptions {
  readonly signal?: AbortSignal;
}

/** A node of a lab: a kubelet, a container runtime and a kube-proxy in namespaces of their own. */
export class LabNode {
  readonly name: string;
  /** Its address in each family that the lab has. */
  readonly addresses: PerFamily;
  /** Name of its network namespace, as `ip netns` lists it. */
  readonly namespace: string;
  readonly #context: LabContext;

  constructor(context: LabContext, name: string) {
    this.name = name;
    this.addresses = context.store.requireNode(name).addresses;
    this.namespace = namespaceName(context.name, name);
    this.#context = context;
  }

  /** Runs a command among the node's daemons: it sees the node's processes, files and network. */
  async exec(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const inside = await insideCommand(this.#context, this.name, command);
    return run(inside.command, { ...options, env: { ...options.env, ...inside.env } });
  }

  /** Pulls the network cable. The node and its pods go on; after the grace period the cluster calls it NotReady. */
  async cutOff(): Promise<void> {
    await this.#setLink('down');
  }

  /** Plugs the network cable back in. */
  async heal(): Promise<void> {
    await this.#setLink('up');
  }

  /**
   * Stops all processes of the node at once, daemons and pods, by the cgroup freezer, as on a machine that hangs. What
   * the kernel does by itself goes on: it answers pings, forwards by kube-proxy's rules, and accepts connections that
   * then nobody serves.
   */
  async pause(): Promise<void> {
    await this.#setPaused(true);
  }

  /** Lets the processes go on. */
  async resume(): Promise<void> {
    await this.#setPaused(false);
  }

  /** Pulls the plug: no farewell reaches anybody, and what was in memory is gone, kube-proxy's rules included. */
  async crash(): Promise<void> {
    const record = this.#record();
    if (!record.keeper) return;
    // First the cable: the kernel says goodbye for every process that dies.
    await setLink(this.#context.wiring, this.name, 'nodes', 'down');
    signalProcess(record.keeper, 'SIGKILL');
    await killNode(this.#context.name, this.name);
    // As after a reboot: kubelet would spend seconds on every cgroup of a pod that is no more.
    await removeCgroups(await labCgroups(this.#context.cgroups, this.#context.name, this.name));
    await unplug(this.#context.wiring, this.name, 'nodes');
    const { keeper: _dead, ...rest } = record;
    await this.#context.store.putNode({ ...rest, link: 'down', paused: false });
  }

  /** Powers a crashed node on again (or crashes it first) and waits until it is Ready. It has kept its disk. */
  async restart({ signal }: WaitingOptions = {}): Promise<void> {
    await this.crash();
    const booted = await bootNode(this.#context, this.#record());
    await routeNodes(this.#context);
    await releaseNode(this.#context, this.name);
    await waitForNode(this.#context, booted, signal);
  }

  /** Cordons the node and evicts its pods, as `kubectl drain` does; all but those of DaemonSets. */
  async drain(options: WaitingOptions & { readonly timeoutMs?: number } = {}): Promise<void> {
    const { timeoutMs = 60_000, signal } = options;
    const flags = ['--ignore-daemonsets', '--delete-emptydir-data', '--force', `--timeout=${timeoutMs / 1_000}s`];
    await this.#context.kubectl(['drain', this.name, ...flags], { timeoutMs: timeoutMs + 10_000, signal });
  }

  /** Lets pods be scheduled on it again after `drain`. */
  async uncordon(): Promise<void> {
    await this.#context.kubectl(['uncordon', this.name]);
  }

  /** Powers the node off and takes it out of the cluster for good, its disk included. Drain it before, or don't. */
  async remove(): Promise<void> {
    const record = this.#record();
    const { api, store, directory } = this.#context;
    await this.crash();
    try {
      await api.text('DELETE', `/api/v1/nodes/${this.name}`);
    } catch (error) {
      if (!(error instanceof LabRequestError && error.status === 404)) throw error;
    }
    await unrouteNode(this.#context, record);
    await rm(directory.node(this.name).path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    await store.dropNode(this.name);
  }

  /** Gives the node one more image, from an archive of `buildImage` or `docker save`. */
  async loadImage(archive: string): Promise<void> {
    const folder = this.#context.directory.node(this.name);
    const snapshotter = await snapshotterFor(folder.path);
    const placed = await placeImage(folder, archive);
    const inside = placed.replace(folder.var, '/var');
    await this.exec(['ctr', 'images', 'import', '--local', '--snapshotter', snapshotter, inside], {
      timeoutMs: 120_000,
    });
    await this.exec(['touch', `${inside}.imported`]);
  }

  #record(): NodeRecord {
    return this.#context.store.requireNode(this.name);
  }

  async #setLink(link: 'up' | 'down'): Promise<void> {
    this.#requirePower();
    await setLink(this.#context.wiring, this.name, 'nodes', link);
    await this.#context.store.putNode({ ...this.#record(), link });
  }

  async #setPaused(paused: boolean): Promise<void> {
    this.#requirePower();
    await setFrozen(this.#context.cgroups, this.#context.name, this.name, paused);
    await this.#context.store.putNode({ ...this.#record(), paused });
  }

  #requirePower(): void {
    if (!this.#record().keeper) throw new LabError(`Node ${this.name} is off; start it with \`restart()\``);
  }
}
