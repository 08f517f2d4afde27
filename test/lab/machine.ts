import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { identifyProcess } from '../control-plane/process-identity.ts';
import { addressesOf, machineHost, type PerFamily } from './addresses.ts';
import type { LabContext } from './context.ts';
import { LabError } from './errors.ts';
import { LabProcess } from './lab-process.ts';
import { checkMachineName, namespaceName } from './names.ts';
import { inNamespace, plugIn, setLink } from './network.ts';
import type { MachineOptions } from './options.ts';
import { run, type RunOptions, type RunResult } from './run.ts';
import type { MachineRecord } from './state.ts';
import { programEnvironment } from './system-path.ts';
import { tail } from './wait.ts';

export interface SpawnOptions {
  /** Name of its log, after the machine's: `client-controller`. Default: the last part of the program's path. */
  readonly name?: string;
  /** More environment variables, on top of this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory. Default: this process's own. */
  readonly directory?: string;
}

/** A machine beside the nodes: a network namespace with an address, whose programs and files are the host's. */
export class LabMachine {
  readonly name: string;
  /** Its address in each family that the lab has. */
  readonly addresses: PerFamily;
  /** Name of its network namespace, as `ip netns` lists it. */
  readonly namespace: string;
  readonly #context: LabContext;
  readonly #record: MachineRecord;

  constructor(context: LabContext, record: MachineRecord) {
    this.name = record.name;
    this.addresses = record.addresses;
    this.namespace = namespaceName(context.name, record.name);
    this.#context = context;
    this.#record = record;
  }

  /** Runs a command of the host in the machine's network, to its end. */
  async exec(command: readonly string[], options?: RunOptions): Promise<RunResult> {
    return run(inNamespace(this.#context.name, this.name, command), options);
  }

  /** Starts a program of the host in the machine's network. It ends with the lab, if it was not stopped before. */
  async spawn(program: string, args: readonly string[] = [], options: SpawnOptions = {}): Promise<LabProcess> {
    const name = `${this.name}-${options.name ?? program.replace(/.*\//, '')}`;
    const [command = '', ...rest] = inNamespace(this.#context.name, this.name, [program, ...args]);
    const logFile = this.#context.directory.log(name);
    const log = openSync(logFile, 'a');
    const child = spawn(command, rest, {
      // In a session of its own, so that a terminal's Ctrl-C reaches only whoever is in charge.
      detached: true,
      stdio: ['ignore', log, log],
      env: programEnvironment(options.env),
      ...(options.directory !== undefined && { cwd: options.directory }),
    });
    closeSync(log);
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
    if (!identity)
      throw new LabError(`\`${program}\` ended at once. The end of ${logFile}:\n${await tail(logFile, 20)}`);
    await this.#context.store.addProcess({ name, machine: this.name, process: identity });
    return new LabProcess(name, identity, child, logFile);
  }

  /** Pulls the network cable. */
  async cutOff(): Promise<void> {
    await setLink(this.#context.wiring, this.name, this.#record.network, 'down');
  }

  /** Plugs the network cable back in. */
  async heal(): Promise<void> {
    await setLink(this.#context.wiring, this.name, this.#record.network, 'up');
  }
}

/** Makes a machine's network namespace. */
export async function createMachine(context: LabContext, options: MachineOptions): Promise<LabMachine> {
  checkMachineName(options.name);
  const network = options.behindRouter === true ? 'behindRouter' : 'nodes';
  let record: MachineRecord | undefined;
  await context.store.update((state) => {
    if (state.machines.some(({ name }) => name === options.name)) {
      throw new LabError(`Lab ${state.name} already has a machine \`${options.name}\``);
    }
    const taken = state.machines.filter((machine) => machine.network === network).map(({ host }) => host);
    let index = 0;
    while (taken.includes(machineHost(index))) index += 1;
    const host = machineHost(index);
    record = { name: options.name, network, host, addresses: addressesOf(context.families, network, host) };
    return { ...state, machines: [...state.machines, record] };
  });
  if (!record) throw new LabError(`No record was made for machine ${options.name}`);
  await plugIn(context.wiring, { member: record.name, network, host: record.host });
  return new LabMachine(context, record);
}
