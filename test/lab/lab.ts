/**
 * A Kubernetes cluster of real nodes on one Linux machine: every node has its own network, mount, process, host name
 * and IPC namespace with containerd, runc, kubelet and kube-proxy in it. `docs/lab.md` has the picture.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Family, insideServer, LOAD_BALANCER_RANGES } from './addresses.ts';
import type { Method, RequestOptions } from './api-client.ts';
import { bringUp } from './bring-up.ts';
import { clearLab } from './clear.ts';
import { type LabContext, openContext, relayServer } from './context.ts';
import { type InsideCommand, insideCommand } from './enter.ts';
import { LabError } from './errors.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { LabNode } from './lab-node.ts';
import { createMachine, LabMachine } from './machine.ts';
import { bootNode, releaseNode, routeNodes } from './node-boot.ts';
import { prepareNode } from './node-files.ts';
import { waitForNode } from './node-ready.ts';
import { type LabOptions, type MachineOptions, resolveOptions } from './options.ts';
import type { RunOptions, RunResult } from './run.ts';
import { type LabState, LabStore, requireState } from './state.ts';
import { deployNetexec, type NetexecOptions, waitForDeployment } from './workload.ts';

export { buildImage, type ImageFile, type ImageOptions } from './image.ts';
export { AGNHOST_IMAGE } from './lab-images.ts';
export { LabError, LabRequestError } from './errors.ts';
export { LabMachine, type SpawnOptions } from './machine.ts';
export { LabNode } from './lab-node.ts';
export type { Exit, LabProcess } from './lab-process.ts';
export type { LabOptions, MachineOptions } from './options.ts';
export { NETEXEC_PORTS, type NetexecOptions } from './workload.ts';

export interface KubeconfigRequest {
  /** Name of the file, without an ending; it lies in the lab's folder. */
  readonly name: string;
  readonly token: string;
  /** From where it will be used: the host, or a machine of the lab. */
  readonly from: 'host' | 'inside';
  /** Namespace of commands that name none. Default `default`. */
  readonly namespace?: string;
}

export class Lab implements AsyncDisposable {
  readonly #context: LabContext;
  readonly #nodes = new Map<string, LabNode>();
  readonly #machines = new Map<string, LabMachine>();

  private constructor(context: LabContext) {
    this.#context = context;
    for (const record of context.store.state.machines) this.#machines.set(record.name, new LabMachine(context, record));
  }

  /**
   * Makes a lab and waits until every node is Ready. What a killed run of the same name left is cleared first. Missing
   * programs are fetched or built before, which `progress` tells about. The lab is this process's until `down`.
   */
  static async up(options: LabOptions = {}): Promise<Lab> {
    return new Lab(await bringUp(resolveOptions(options)));
  }

  /** A lab that another process made, to use it; `detach` when done. */
  static async attach(name: string = 'lab'): Promise<Lab> {
    const state = await requireState(name);
    if (state.phase !== 'up')
      throw new LabError(`Lab ${name} is not up: it is still starting, or its start was killed`);
    return new Lab(await openContext(new LabStore(state)));
  }

  /** Ends and removes everything of the lab with this name, whoever made it and however far it came. */
  static async clear(name: string = 'lab'): Promise<void> {
    await clearLab(name);
  }

  get name(): string {
    return this.#context.name;
  }

  /** What the lab knows of itself; also what is in its state file. */
  get state(): LabState {
    return this.#context.store.state;
  }

  /** The address families of nodes, pods and Services, the primary one first. */
  get families(): readonly Family[] {
    return this.#context.families;
  }

  /** kubeconfig of an administrator, for use on the host: through the relay on 127.0.0.1. */
  get kubeconfigPath(): string {
    return this.#context.directory.kubeconfig;
  }

  /** kubeconfig of an administrator, for use on a machine of the lab. */
  get insideKubeconfigPath(): string {
    return this.#context.directory.inside;
  }

  /** Bearer token of a member of `system:masters`. */
  get adminToken(): string {
    return this.state.adminToken;
  }

  /** File with the certificate of the authority that signed the API server's. */
  get authorityPath(): string {
    return this.#context.credentials.authority.certificate;
  }

  /** Addresses of the nodes' network that are kept free for load balancers, in each family that the lab has. */
  get loadBalancerRanges(): readonly { readonly family: Family; readonly first: string; readonly last: string }[] {
    return this.families.map((family) => ({ family, ...LOAD_BALANCER_RANGES[family] }));
  }

  get nodes(): readonly LabNode[] {
    const records = this.state.nodes.toSorted((a, b) => a.index - b.index);
    return records.map(({ name }) => this.node(name));
  }

  /** A node by its name: `n1`. */
  node(name: string): LabNode {
    const node = this.#nodes.get(name) ?? new LabNode(this.#context, name);
    this.#nodes.set(name, node);
    return node;
  }

  /** Adds a node with the next free number and waits until it is Ready. */
  async addNode({ signal }: { readonly signal?: AbortSignal } = {}): Promise<LabNode> {
    const taken = this.state.nodes.map(({ index }) => index);
    let index = 1;
    while (taken.includes(index)) index += 1;
    const booted = await bootNode(this.#context, await prepareNode(this.#context, index));
    await routeNodes(this.#context);
    await releaseNode(this.#context, booted.name);
    await waitForNode(this.#context, booted, signal);
    return this.node(booted.name);
  }

  /**
   * Wraps a command so that, run on the host, it runs on a node, a machine, or in `cp` (control plane), `router` or
   * `fabric` (bridge): for those who want its streams. `env` belongs on top of the caller's environment.
   */
  async inside(target: string, command: readonly string[]): Promise<InsideCommand> {
    return insideCommand(this.#context, target, command);
  }

  get machines(): readonly LabMachine[] {
    return [...this.#machines.values()];
  }

  /** A machine that the lab was started with, or that was added. */
  machine(name: string = 'client'): LabMachine {
    const machine = this.#machines.get(name);
    if (machine) return machine;
    const names = [...this.#machines.keys()].join(', ') || 'none';
    throw new LabError(`Lab ${this.name} has no machine \`${name}\`; it has ${names}`);
  }

  /** Adds a machine beside the nodes, or behind the router. */
  async addMachine(options: MachineOptions): Promise<LabMachine> {
    const machine = await createMachine(this.#context, options);
    this.#machines.set(machine.name, machine);
    return machine;
  }

  /** Gives every node, and those to come, one more image: an archive of `buildImage` or `docker save`. */
  async loadImage(archive: string): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.loadImage(archive)));
    await this.#context.store.update((state) => ({ ...state, images: [...state.images, archive] }));
  }

  /** kubectl on the host with an administrator's rights. */
  async kubectl(args: readonly string[], options?: RunOptions): Promise<RunResult> {
    return this.#context.kubectl(args, options);
  }

  /**
   * Asks the API server as an administrator, through the relay; throws `LabRequestError` for a status of 400 or more.
   * `T` is what the caller knows of the answer's shape; nothing checks it.
   */
  async request<T>(method: Method, path: string, body?: unknown, options?: RequestOptions): Promise<T> {
    return this.#context.api.json<T>(method, path, body, options);
  }

  /** Writes a kubeconfig for a token, a ServiceAccount's for example. Returns its path. */
  async writeKubeconfig({ name, token, from, namespace }: KubeconfigRequest): Promise<string> {
    const { relayPort } = this.state;
    return writeKubeconfig(join(this.#context.directory.path, `${name}.kubeconfig`), {
      server: from === 'inside' ? insideServer(this.families) : relayServer(relayPort ?? 0),
      authority: this.authorityPath,
      user: { token },
      ...(namespace !== undefined && { namespace }),
    });
  }

  /** Creates a Deployment of agnhost's `netexec` and waits until all its pods are available. */
  async deployNetexec(options: NetexecOptions): Promise<void> {
    await deployNetexec(this.#context, options);
  }

  /** Waits until a Deployment has exactly the pods it wants, all of the newest template and available. */
  async waitForDeployment(options: Pick<NetexecOptions, 'name' | 'namespace' | 'timeoutMs' | 'signal'>): Promise<void> {
    await waitForDeployment(this.#context, options);
  }

  /** Names of everything that writes a log: `kube-apiserver`, `kubelet-n1`, `client-…`. */
  async components(): Promise<readonly string[]> {
    return Object.keys(await this.#logFiles()).toSorted();
  }

  /** What a component has written so far. */
  async logs(component: string): Promise<string> {
    return readFile(await this.logFile(component), 'utf8');
  }

  /** Where a component's log lies on the host. */
  async logFile(component: string): Promise<string> {
    const files = await this.#logFiles();
    const file = files[component];
    if (file !== undefined) return file;
    throw new LabError(`Lab ${this.name} has no component \`${component}\`; it has ${Object.keys(files).join(', ')}`);
  }

  /** Ends and removes everything of the lab. */
  async down(): Promise<void> {
    await this.detach();
    await clearLab(this.name);
  }

  /** Lets go of the lab without touching it. */
  async detach(): Promise<void> {
    await this.#context.api.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  async #logFiles(): Promise<Readonly<Record<string, string>>> {
    const { directory } = this.#context;
    const names = await readdir(directory.logs);
    const own = names.map((name) => [name.replace(/\.log$/, ''), join(directory.logs, name)] as const);
    const daemons = ['init', 'containerd', 'kubelet', 'kube-proxy'];
    const nodes = this.state.nodes.flatMap(({ name }) =>
      daemons.map((daemon) => [`${daemon}-${name}`, directory.node(name).log(daemon)] as const),
    );
    return Object.fromEntries([...own, ...nodes].filter(([, file]) => existsSync(file)));
  }
}
