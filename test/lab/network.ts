import { readdir } from 'node:fs/promises';
import {
  addressesOf,
  hardwareAddress,
  inOrder,
  NETWORK_BITS,
  ROUTER_HOST,
  type Family,
  type Network,
  type PerFamily,
} from './addresses.ts';
import { FABRIC, labPrefix, NAMESPACE_FOLDER, namespaceName, namespacePath, ROUTER } from './names.ts';
import { run } from './run.ts';

/**
 * The lab's wires: one network namespace per machine, each with `eth0` on one of two bridges. The bridge of the nodes'
 * network lies in a namespace of its own, the other one in the router's. No interface ever shows on the host.
 */
export interface Wiring {
  readonly lab: string;
  readonly families: readonly Family[];
}

const BRIDGE = 'br0';

/** Puts the program that runs a command in front of it, so that it runs in a network namespace of the lab. */
export function inNamespace(lab: string, member: string, command: readonly string[]): readonly string[] {
  return ['nsenter', `--net=${namespacePath(lab, member)}`, '--', ...command];
}

/** Makes the bridges and the router. */
export async function createFabric(wiring: Wiring): Promise<void> {
  await addNamespace(wiring, FABRIC);
  await ip(wiring, FABRIC, [`link add ${BRIDGE} type bridge`, `link set ${BRIDGE} up`]);
  await plugIn(wiring, { member: ROUTER, network: 'nodes', host: ROUTER_HOST });
  const behind = addressesOf(wiring.families, 'behindRouter', ROUTER_HOST);
  await ip(wiring, ROUTER, [
    `link add ${BRIDGE} address ${hardwareAddress('behindRouter', ROUTER_HOST)} type bridge`,
    ...addressLines(wiring.families, behind, BRIDGE),
    `link set ${BRIDGE} up`,
  ]);
}

export interface Plug {
  readonly member: string;
  readonly network: Network;
  /** The host number, which makes its addresses. */
  readonly host: number;
}

/** Makes a member's network namespace, with `eth0` on its network's bridge, its addresses and a default route. */
export async function plugIn(wiring: Wiring, { member, network, host }: Plug): Promise<PerFamily> {
  const { lab, families } = wiring;
  const addresses = addressesOf(families, network, host);
  const bridge = bridgeOwner(network);
  await addNamespace(wiring, member);
  await ip(wiring, bridge, [
    `link add ${portName(member)} type veth peer name eth0 address ${hardwareAddress(network, host)}` +
      ` netns ${namespaceName(lab, member)}`,
    `link set ${portName(member)} master ${BRIDGE} up`,
  ]);
  const gateway = member === ROUTER ? {} : addressesOf(families, network, ROUTER_HOST);
  await ip(wiring, member, [
    ...addressLines(families, addresses, 'eth0'),
    'link set eth0 up',
    ...inOrder(families, gateway).map((address) => `route add default via ${address} dev eth0`),
  ]);
  return addresses;
}

/** Takes a member's network namespace away, with everything in the kernel that belonged to it. */
export async function unplug(wiring: Wiring, member: string, network: Network): Promise<void> {
  // The port goes first: the namespace itself lives on until its last process and socket are gone.
  await ip(wiring, bridgeOwner(network), [`link del ${portName(member)}`]);
  await run(['ip', 'netns', 'del', namespaceName(wiring.lab, member)]);
}

/** Pulls or plugs the cable between a member and its bridge. */
export async function setLink(wiring: Wiring, member: string, network: Network, state: 'up' | 'down'): Promise<void> {
  await ip(wiring, bridgeOwner(network), [`link set ${portName(member)} ${state}`]);
}

/** A way to a network, through a neighbour. */
export interface Route {
  readonly to: string;
  readonly via: string;
}

/** Adds or removes routes of a member. */
export async function changeRoutes(
  wiring: Wiring,
  member: string,
  action: 'replace' | 'del',
  routes: readonly Route[],
): Promise<void> {
  await ip(
    wiring,
    member,
    routes.map(({ to, via }) => `route ${action} ${to} via ${via} dev eth0`),
  );
}

/** The network namespaces that belong to a lab, also one that a killed run left. */
export async function labNamespaces(lab: string): Promise<readonly string[]> {
  try {
    return (await readdir(NAMESPACE_FOLDER)).filter((name) => name.startsWith(labPrefix(lab)));
  } catch {
    return []; // No namespace was ever named on this host.
  }
}

function bridgeOwner(network: Network): string {
  return network === 'nodes' ? FABRIC : ROUTER;
}

/** The bridge's end of a member's cable. Interface names have at most 15 characters. */
function portName(member: string): string {
  return `p-${member}`;
}

function addressLines(families: readonly Family[], addresses: PerFamily, device: string): readonly string[] {
  // Without duplicate address detection an IPv6 address can be used at once.
  return families.map(
    (family) =>
      `addr add ${addresses[family]}/${NETWORK_BITS[family]} dev ${device}${family === 'IPv6' ? ' nodad' : ''}`,
  );
}

const SYSCTLS: readonly string[] = [
  'net.ipv4.ip_forward=1',
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  // The router sits on the same link as those it routes for; redirects would teach them shortcuts around it.
  'net.ipv4.conf.all.send_redirects=0',
  'net.ipv4.conf.default.send_redirects=0',
];
const SYSCTLS_IPV6: readonly string[] = [
  'net.ipv6.conf.all.disable_ipv6=0',
  'net.ipv6.conf.default.disable_ipv6=0',
  'net.ipv6.conf.all.forwarding=1',
];

async function addNamespace(wiring: Wiring, member: string): Promise<void> {
  await run(['ip', 'netns', 'add', namespaceName(wiring.lab, member)]);
  const sysctls = wiring.families.includes('IPv6') ? [...SYSCTLS, ...SYSCTLS_IPV6] : SYSCTLS;
  await run(inNamespace(wiring.lab, member, ['sysctl', '-q', '-w', ...sysctls]));
  await ip(wiring, member, ['link set lo up']);
}

async function ip({ lab }: Wiring, member: string, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await run(['ip', '-n', namespaceName(lab, member), '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
