import { LabError } from './errors.ts';

/**
 * Which addresses everything in a lab has: pure arithmetic. All of it lies inside the lab's own network namespaces, so
 * labs side by side use the same ones.
 *
 * | What                    | IPv4                   | IPv6                          |
 * | ----------------------- | ---------------------- | ----------------------------- |
 * | nodes' network          | 172.30.0.0/24          | fd00:172:30::/64              |
 * | – control plane         | .1                     | ::1                           |
 * | – node i                | .10 + i                | ::10 + i (decimal digits)     |
 * | – machines              | .100 to .199           | ::100 to ::199                |
 * | – for load balancers    | .200 to .250           | ::200 to ::250                |
 * | – router                | .254                   | ::254                         |
 * | behind the router       | 172.31.0.0/24          | fd00:172:31::/64              |
 * | pods of node i          | 10.244.i.0/24          | fd00:10:244:i::/64            |
 * | Services                | 10.96.0.0/16           | fd00:10:96::/112              |
 */

/** The address families of a lab's nodes, pods and Services. */
export type LabIpFamily = 'ipv4' | 'ipv6' | 'dual';
export type Family = 'IPv4' | 'IPv6';
/** One value per address family that the lab has. */
export type PerFamily = Readonly<Partial<Record<Family, string>>>;

/** The families of a lab, the primary one first. */
export function familiesOf(ipFamily: LabIpFamily): readonly Family[] {
  if (ipFamily === 'dual') return ['IPv4', 'IPv6'];
  return ipFamily === 'ipv4' ? ['IPv4'] : ['IPv6'];
}

/** A network that machines have their addresses in. */
export type Network = 'nodes' | 'behindRouter';

const PREFIX: Readonly<Record<Network, Readonly<Record<Family, string>>>> = {
  nodes: { IPv4: '172.30.0.', IPv6: 'fd00:172:30::' },
  behindRouter: { IPv4: '172.31.0.', IPv6: 'fd00:172:31::' },
};

/** The length of the networks' prefixes, in bits. */
export const NETWORK_BITS: Readonly<Record<Family, number>> = { IPv4: 24, IPv6: 64 };

export const CONTROL_PLANE_HOST = 1;
export const ROUTER_HOST = 254;
const FIRST_NODE_HOST = 10;
const FIRST_MACHINE_HOST = 100;
/** Nodes are numbered from 1, and their addresses end before the machines' begin. */
export const MOST_NODES: number = FIRST_MACHINE_HOST - FIRST_NODE_HOST - 1;
export const MOST_MACHINES = 100;

/** The address with this host number, in each of the families. */
export function addressesOf(families: readonly Family[], network: Network, host: number): PerFamily {
  return perFamily(families, (family) => `${PREFIX[network][family]}${host}`);
}

export function nodeHost(index: number): number {
  if (index < 1 || index > MOST_NODES)
    throw new LabError(`A lab has at most ${MOST_NODES} nodes; n${index} is one too many`);
  return FIRST_NODE_HOST + index;
}

/** The first machine has index 0. */
export function machineHost(index: number): number {
  if (index >= MOST_MACHINES) throw new LabError(`A lab has at most ${MOST_MACHINES} machines`);
  return FIRST_MACHINE_HOST + index;
}

/** A hardware address that stays the same when a machine is made again, so that neighbours' caches stay true. */
export function hardwareAddress(network: Network, host: number): string {
  const hex = host.toString(16).padStart(2, '0');
  return `02:ba:11:a5:${network === 'nodes' ? '30' : '31'}:${hex}`;
}

/** Addresses of the nodes' network that nothing in the lab uses: for load balancers, as first and last. */
export const LOAD_BALANCER_RANGES: Readonly<Record<Family, { readonly first: string; readonly last: string }>> = {
  IPv4: { first: '172.30.0.200', last: '172.30.0.250' },
  IPv6: { first: 'fd00:172:30::200', last: 'fd00:172:30::250' },
};

/** All pods of the cluster. */
export const CLUSTER_CIDR: Readonly<Record<Family, string>> = { IPv4: '10.244.0.0/16', IPv6: 'fd00:10:244::/48' };
/** All ClusterIPs. */
export const SERVICE_CIDR: Readonly<Record<Family, string>> = { IPv4: '10.96.0.0/16', IPv6: 'fd00:10:96::/112' };
/** The ClusterIP of Service `kubernetes`: the first of the range. */
export const KUBERNETES_SERVICE: Readonly<Record<Family, string>> = { IPv4: '10.96.0.1', IPv6: 'fd00:10:96::1' };
/** The ClusterIP of cluster DNS: the tenth of the range, as in most clusters. */
export const DNS_SERVICE: Readonly<Record<Family, string>> = { IPv4: '10.96.0.10', IPv6: 'fd00:10:96::a' };

/** The pods of one node. */
export function podCidrs(families: readonly Family[], nodeIndex: number): PerFamily {
  return perFamily(families, (family) =>
    family === 'IPv4' ? `10.244.${nodeIndex}.0/24` : `fd00:10:244:${nodeIndex}::/64`,
  );
}

/** Builds a value for each of the families. */
export function perFamily(families: readonly Family[], value: (family: Family) => string): PerFamily {
  return Object.fromEntries(families.map((family) => [family, value(family)]));
}

/** The values in the order of the families: primary first. */
export function inOrder(families: readonly Family[], values: PerFamily): readonly string[] {
  return families.flatMap((family) => values[family] ?? []);
}

export const API_PORT = 6443;

/** The control plane's address that the nodes know: of the primary family. */
export function controlPlaneAddress(families: readonly Family[]): string {
  return inOrder(families, addressesOf(families, 'nodes', CONTROL_PLANE_HOST))[0] ?? '';
}

/** The API server as the machines of the lab reach it. */
export function insideServer(families: readonly Family[]): string {
  const address = controlPlaneAddress(families);
  return `https://${address.includes(':') ? `[${address}]` : address}:${API_PORT}`;
}
