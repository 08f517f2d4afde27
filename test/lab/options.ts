import type { ProgressLine } from '../control-plane/progress.ts';
import { type LabIpFamily, MOST_NODES } from './addresses.ts';
import { LabError } from './errors.ts';
import { checkLabName, checkMachineName } from './names.ts';
import type { ProxyMode } from './state.ts';

/** What a lab is made of; every field has a default. */
export interface LabOptions {
  /** Lower-case letters and digits; labs with different names run side by side. Default `lab`. */
  readonly name?: string;
  /** How many nodes: `n1`, `n2`, …. Default 3. */
  readonly nodes?: number;
  /** Address families of nodes, pods and Services. Default `ipv4`. */
  readonly ipFamily?: LabIpFamily;
  /** Mode of kube-proxy. Default `nftables`. */
  readonly proxyMode?: ProxyMode;
  /** Machines beside the nodes that the lab starts with. Default one, `client`, on the nodes' network. */
  readonly machines?: readonly MachineOptions[];
  /** More images for every node: archives from `buildImage` or `docker save`. Default none. */
  readonly images?: readonly string[];
  /** How long a node may be silent before it turns NotReady, in seconds. Default 50, as upstream. */
  readonly nodeMonitorGracePeriodSeconds?: number;
  /** Gets a line for every step. Default: nothing is said. */
  readonly progress?: ProgressLine;
  /** Aborting takes down what was made so far. */
  readonly signal?: AbortSignal;
  /** Whether the lab stays when this process ends; then nobody owns it until `Lab.attach` or `lab down`. Default false. */
  readonly detached?: boolean;
  /** Whether a lab of the same name that is up and nobody's may be replaced. Default false. */
  readonly replace?: boolean;
}

export interface MachineOptions {
  /** Lower-case letters, digits and dashes; at most 13 characters. */
  readonly name: string;
  /**
   * Whether it lies behind the router, with an address outside the nodes' subnet: what the nodes see of it is then
   * recognisable as a preserved client address. Default false: on the nodes' own network.
   */
  readonly behindRouter?: boolean;
}

export type ResolvedOptions = Required<Omit<LabOptions, 'signal'>> & { readonly signal: AbortSignal | undefined };

/** Fills in the defaults and refuses what makes no sense. */
export function resolveOptions(options: LabOptions): ResolvedOptions {
  const resolved: ResolvedOptions = {
    name: options.name ?? 'lab',
    nodes: options.nodes ?? 3,
    ipFamily: options.ipFamily ?? 'ipv4',
    proxyMode: options.proxyMode ?? 'nftables',
    machines: options.machines ?? [{ name: 'client' }],
    images: options.images ?? [],
    nodeMonitorGracePeriodSeconds: options.nodeMonitorGracePeriodSeconds ?? 50,
    progress: options.progress ?? (() => undefined),
    signal: options.signal,
    detached: options.detached ?? false,
    replace: options.replace ?? false,
  };
  checkLabName(resolved.name);
  checkCount('nodes', resolved.nodes, 1, MOST_NODES);
  checkCount('nodeMonitorGracePeriodSeconds', resolved.nodeMonitorGracePeriodSeconds, 1, 86_400);
  checkOneOf('ipFamily', resolved.ipFamily, ['ipv4', 'ipv6', 'dual']);
  checkOneOf('proxyMode', resolved.proxyMode, ['nftables', 'iptables']);
  const names = resolved.machines.map(({ name }) => name);
  names.forEach(checkMachineName);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new LabError(`Two machines are called \`${twice}\``);
  return resolved;
}

function checkCount(option: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new LabError(`\`${option}\` must be a whole number from ${least} to ${most}, not ${value}`);
}

function checkOneOf(option: string, value: string, allowed: readonly string[]): void {
  if (allowed.includes(value)) return;
  throw new LabError(`\`${option}\` must be one of ${allowed.join(', ')}, not \`${value}\``);
}
