import { type Family, familiesOf } from './addresses.ts';
import { ApiClient } from './api-client.ts';
import { type Cgroups, detectCgroups } from './cgroups.ts';
import { Credentials } from './credentials.ts';
import { LabDirectory } from './directory.ts';
import { LabError } from './errors.ts';
import type { Wiring } from './network.ts';
import { run, type RunOptions, type RunResult } from './run.ts';
import type { LabStore } from './state.ts';

/** What the parts of one lab share. */
export interface LabContext {
  readonly name: string;
  /** Primary family first. */
  readonly families: readonly Family[];
  readonly directory: LabDirectory;
  readonly store: LabStore;
  readonly wiring: Wiring;
  readonly cgroups: Cgroups;
  readonly credentials: Credentials;
  readonly api: ApiClient;
  /** The path of one of the lab's programs. */
  readonly binary: (name: string) => string;
  /** kubectl with an administrator's rights. */
  readonly kubectl: (args: readonly string[], options?: RunOptions) => Promise<RunResult>;
}

/** Puts together what a lab's parts share, from its state. The relay must be there, the API server need not. */
export async function openContext(store: LabStore): Promise<LabContext> {
  const { name, ipFamily, relayPort, adminToken } = store.state;
  const cgroups = await detectCgroups();
  if (!cgroups) throw new LabError('No cgroup file system is mounted at /sys/fs/cgroup');
  if (relayPort === undefined) throw new LabError(`Lab ${name} has no relay to its API server yet`);
  const families = familiesOf(ipFamily);
  const directory = new LabDirectory(name);
  const credentials = new Credentials(directory, families);
  const binary = (program: string): string => {
    const path = store.state.binaries[program];
    if (path === undefined) throw new LabError(`Lab ${name} was made without the program ${program}`);
    return path;
  };
  const env = { KUBECONFIG: directory.kubeconfig, KUBECACHEDIR: directory.kubectlCache };
  return {
    name,
    families,
    directory,
    store,
    wiring: { lab: name, families },
    cgroups,
    credentials,
    api: await ApiClient.open(relayServer(relayPort), adminToken, credentials.authority.certificate),
    binary,
    kubectl: (args, options = {}) => run([binary('kubectl'), ...args], { ...options, env: { ...options.env, ...env } }),
  };
}

/** The API server as the host reaches it. */
export function relayServer(port: number): string {
  return `https://127.0.0.1:${port}`;
}
