import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { identifyProcess, type ProcessIdentity } from '../control-plane/process-identity.ts';
import { LabError } from './errors.ts';
import { CONTROL_PLANE } from './names.ts';
import { inNamespace } from './network.ts';
import { programEnvironment } from './system-path.ts';

const PROGRAM = fileURLToPath(new URL('./relay-process.ts', import.meta.url));
const READY_WITHIN_MS = 10_000;

export interface RelayOptions {
  readonly lab: string;
  /** Where connections go, inside the control plane's namespace. */
  readonly target: { readonly host: string; readonly port: number };
  readonly logFile: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Relay {
  /** The port on the host's 127.0.0.1. */
  readonly port: number;
  readonly process: ProcessIdentity;
}

/**
 * Starts the process that lets the host reach the API server. A socket belongs to the network namespace it was made
 * in, whoever holds it later: so this process opens the listening socket on the host's loopback and hands it to a child
 * in the control plane's namespace, which connects onwards from there. The child outlives this process; it ends with
 * the lab, as a member of its namespace.
 */
export async function startRelay({ lab, target, logFile, signal }: RelayOptions): Promise<Relay> {
  const server = createServer();
  const port = await listen(server);
  const log = openSync(logFile, 'a');
  const command = inNamespace(lab, CONTROL_PLANE, [process.execPath, PROGRAM, target.host, String(target.port)]);
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
    env: programEnvironment(),
  });
  closeSync(log);
  const ended = new AbortController();
  child.once('exit', () => ended.abort());
  try {
    child.send('listen', server);
    const signals = [ended.signal, AbortSignal.timeout(READY_WITHIN_MS), ...(signal ? [signal] : [])];
    await once(child, 'message', { signal: AbortSignal.any(signals) });
  } catch (error) {
    child.kill('SIGKILL');
    signal?.throwIfAborted();
    throw new LabError(`The relay to the API server did not start; see ${logFile}`, { cause: error });
  } finally {
    server.close();
    if (child.connected) child.disconnect();
    child.unref();
  }
  const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
  if (!identity) throw new LabError(`The relay to the API server ended at once; see ${logFile}`);
  return { port, process: identity };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (isAddressInfo(address)) resolve(address.port);
      else reject(new LabError('Cannot tell the port of the relay'));
    });
  });
}

function isAddressInfo(address: string | AddressInfo | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}
