import { randomUUID } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import type { ProcessIdentity } from '../control-plane/process-identity.ts';
import type { LabIpFamily, Network, PerFamily } from './addresses.ts';
import { LabDirectory } from './directory.ts';
import { LabError } from './errors.ts';

/** How kube-proxy programs the kernel. */
export type ProxyMode = 'nftables' | 'iptables';

export interface NodeRecord {
  readonly name: string;
  /** From 1; its addresses and its pods' follow from it. */
  readonly index: number;
  readonly addresses: PerFamily;
  /** The process, outside of the node's process namespace, that its first process hangs on; none while it is off. */
  readonly keeper?: ProcessIdentity;
  readonly link: 'up' | 'down';
  readonly paused: boolean;
}

export interface MachineRecord {
  readonly name: string;
  readonly network: Network;
  readonly host: number;
  readonly addresses: PerFamily;
}

export interface ProcessRecord {
  readonly name: string;
  /** The machine it runs on; none for a part of the lab itself. */
  readonly machine?: string;
  readonly process: ProcessIdentity;
}

/** What a lab writes about itself, so that another process can find it, use it and take it down. */
export interface LabState {
  readonly name: string;
  /** `starting` until everything was ready once; a run that is killed before leaves it so. */
  readonly phase: 'starting' | 'up';
  /** The process that will take the lab down; none for a lab that outlives the command that made it. */
  readonly owner?: ProcessIdentity;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly ipFamily: LabIpFamily;
  readonly proxyMode: ProxyMode;
  readonly adminToken: string;
  /** Port of the relay on the host's loopback. */
  readonly relayPort?: number;
  /** Paths of the programs by name. */
  readonly binaries: Readonly<Record<string, string>>;
  /** Archives of the images that every node has. */
  readonly images: readonly string[];
  readonly nodes: readonly NodeRecord[];
  readonly machines: readonly MachineRecord[];
  /** Everything started that is no member of a node: control plane, relay, processes in machines. */
  readonly processes: readonly ProcessRecord[];
}

const processIdentity = z.object({ pid: z.number().int().positive(), start: z.string() });
const perFamily = z.object({ IPv4: z.string().exactOptional(), IPv6: z.string().exactOptional() });

const labState: z.ZodType<LabState> = z.object({
  name: z.string(),
  phase: z.enum(['starting', 'up']),
  owner: processIdentity.exactOptional(),
  startedAt: z.string(),
  ipFamily: z.enum(['ipv4', 'ipv6', 'dual']),
  proxyMode: z.enum(['nftables', 'iptables']),
  adminToken: z.string(),
  relayPort: z.number().int().exactOptional(),
  binaries: z.record(z.string(), z.string()),
  images: z.array(z.string()),
  nodes: z.array(
    z.object({
      name: z.string(),
      index: z.number().int(),
      addresses: perFamily,
      keeper: processIdentity.exactOptional(),
      link: z.enum(['up', 'down']),
      paused: z.boolean(),
    }),
  ),
  machines: z.array(
    z.object({
      name: z.string(),
      network: z.enum(['nodes', 'behindRouter']),
      host: z.number().int(),
      addresses: perFamily,
    }),
  ),
  processes: z.array(z.object({ name: z.string(), machine: z.string().exactOptional(), process: processIdentity })),
});

/** Reads what a lab wrote about itself; undefined when there is none, or not one that this version can read. */
export async function readState(lab: string): Promise<LabState | undefined> {
  try {
    return labState.parse(JSON.parse(await readFile(new LabDirectory(lab).state, 'utf8')));
  } catch {
    return undefined;
  }
}

/** Reads the state of a lab that must be there. */
export async function requireState(lab: string): Promise<LabState> {
  const state = await readState(lab);
  if (!state) throw new LabError(`There is no lab \`${lab}\`; \`npm run lab -- up --name ${lab}\` makes one`);
  return state;
}

/** Readers see the old state or the new one. */
async function writeState(state: LabState): Promise<void> {
  const file = new LabDirectory(state.name).state;
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, file);
}

/** The state of a lab in memory and on disk. Changes are made one after the other, to what is on disk then. */
export class LabStore {
  #state: LabState;
  #last: Promise<unknown> = Promise.resolve();

  constructor(state: LabState) {
    this.#state = state;
  }

  get state(): LabState {
    return this.#state;
  }

  /** Applies a change; another process may have made its own meanwhile, which stay. */
  async update(change: (state: LabState) => LabState): Promise<LabState> {
    const next = this.#last.then(() => this.#apply(change));
    this.#last = next.catch(() => undefined); // The caller of the failed change hears of it, the next one goes on.
    return next;
  }

  async #apply(change: (state: LabState) => LabState): Promise<LabState> {
    this.#state = change((await readState(this.#state.name)) ?? this.#state);
    await writeState(this.#state);
    return this.#state;
  }

  /** Adds a node, or puts a new record in the place of the one with its name. */
  async putNode(node: NodeRecord): Promise<void> {
    await this.update((state) => ({
      ...state,
      nodes: [...state.nodes.filter(({ name }) => name !== node.name), node],
    }));
  }

  async dropNode(name: string): Promise<void> {
    await this.update((state) => ({ ...state, nodes: state.nodes.filter((node) => node.name !== name) }));
  }

  async addProcess(record: ProcessRecord): Promise<void> {
    await this.update((state) => ({ ...state, processes: [...state.processes, record] }));
  }

  requireNode(name: string): NodeRecord {
    const node = this.#state.nodes.find((candidate) => candidate.name === name);
    if (node) return node;
    const names = this.#state.nodes.map((candidate) => candidate.name).join(', ');
    throw new LabError(`Lab ${this.#state.name} has no node \`${name}\`; it has ${names || 'none'}`);
  }
}
