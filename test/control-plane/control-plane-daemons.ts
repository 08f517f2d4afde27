import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from './api-request.ts';
import type { Layout } from './control-plane-files.ts';
import type { ControlPlaneOptions } from './control-plane-options.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { apiServerFlags, controllerManagerFlags, etcdFlags } from './daemon-flags.ts';
import { recordProcesses } from './data-folder.ts';
import { ETCD, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER } from './kubernetes-binaries.ts';

const READY_TIMEOUT_MS = 240_000;
const READY_POLL_MS = 50;
/** One question must not hang longer than this, or the whole wait would hang with it. */
const READY_QUESTION_TIMEOUT_MS = 5000;

export interface DaemonParts {
  readonly layout: Layout;
  readonly programs: ReadonlyMap<string, string>;
  readonly options: ControlPlaneOptions;
  readonly client: ApiClient;
}

/** Another process took the port between our look and the daemon's start. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
}

/** The processes of one control plane. */
export class ControlPlaneDaemons {
  readonly #parts: DaemonParts;
  readonly #running = new Map<string, Daemon>();

  constructor(parts: DaemonParts) {
    this.#parts = parts;
  }

  /** Starts them all and resolves when the API server is ready. */
  async start(signal: AbortSignal | undefined): Promise<void> {
    const { layout, options } = this.#parts;
    await this.#start(ETCD.name, etcdFlags(layout));
    await this.#start(KUBE_APISERVER.name, apiServerFlags(layout, options));
    await this.#waitUntilReady(signal);
    if (options.controllers?.length) {
      await this.#start(KUBE_CONTROLLER_MANAGER.name, controllerManagerFlags(layout, options));
    }
  }

  pids(): Record<string, number> {
    const running = [...this.#running.values()].filter((daemon) => daemon.isRunning());
    return Object.fromEntries(running.map(({ name, identity }) => [name, identity.pid]));
  }

  signalApiServer(signal: NodeJS.Signals): void {
    this.#running.get(KUBE_APISERVER.name)?.signal(signal);
  }

  async killApiServer(): Promise<void> {
    await this.#running.get(KUBE_APISERVER.name)?.kill();
    await this.#parts.client.reset();
  }

  async restartApiServer(): Promise<void> {
    await this.killApiServer();
    await this.#start(KUBE_APISERVER.name, apiServerFlags(this.#parts.layout, this.#parts.options));
    await this.#waitUntilReady(undefined);
  }

  /** Kills in the reverse order of their start, so that none complains about another. */
  async killAll(): Promise<void> {
    for (const daemon of [...this.#running.values()].toReversed()) await daemon.kill();
  }

  async #start(name: string, args: readonly string[]): Promise<void> {
    const { folder, logFolder } = this.#parts.layout;
    const path = this.#parts.programs.get(name);
    if (path === undefined) throw new Error(`No path was resolved for ${name}`);
    // No proxy settings or credentials of the surroundings: every run is alike.
    const env = { PATH: process.env['PATH'], HOME: folder, TMPDIR: folder };
    const daemon = await startDaemon({ name, path, args, cwd: folder, env, logPath: join(logFolder, `${name}.log`) });
    this.#running.set(name, daemon);
    recordProcesses(
      folder,
      [...this.#running.values()].map(({ identity }) => identity),
    );
  }

  async #waitUntilReady(signal: AbortSignal | undefined): Promise<void> {
    const deadline = performance.now() + READY_TIMEOUT_MS;
    while (!(await this.#parts.client.isReady(READY_QUESTION_TIMEOUT_MS))) {
      signal?.throwIfAborted();
      this.#throwWhenOneEnded();
      if (performance.now() > deadline) {
        const said = this.#running.get(KUBE_APISERVER.name)?.lastWords();
        throw new Error(`kube-apiserver was not ready within ${READY_TIMEOUT_MS / 1000} s; it last said:\n${said}`);
      }
      await delay(READY_POLL_MS, undefined, signal && { signal });
    }
  }

  #throwWhenOneEnded(): void {
    const ended = [...this.#running.values()].find((daemon) => !daemon.isRunning());
    if (!ended) return;
    const said = ended.lastWords();
    if (said.includes('address already in use')) throw new PortTakenError(`${ended.name}: ${said}`);
    throw new Error(`${ended.name} ended while the control plane was starting; it last said:\n${said}`);
  }
}
