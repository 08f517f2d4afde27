/** The states that every provider must reach, and the changes from one to another that it must survive. */
import type { DesiredLoadBalancer, IpFamily, Member, MemberSettings } from '#src/loadbalancer/model';
import type { Capabilities } from '#src/loadbalancer/provider';
import {
  deepFreeze,
  desiredLoadBalancer,
  groupId,
  loopbackNodes,
  member,
  serviceId,
  type MemberOptions,
} from '../fakes/builders.ts';

/** What a provider has to give. */
export interface Offer {
  readonly addresses: Readonly<Record<IpFamily, readonly string[]>>;
  readonly capabilities: Capabilities;
}

export type State = (offer: Offer) => DesiredLoadBalancer;

export interface Change {
  /** Absent: nothing is there before. */
  readonly from?: State;
  /** Absent: nothing is to be left. */
  readonly to?: State;
  /** Nothing that worked before stops, so no step may say that it breaks or drains. */
  readonly additive?: true;
}

const WEB = serviceId('web');
const BOTH = [
  { family: 'IPv4', required: true },
  { family: 'IPv6', required: true },
] as const;

/** The load balancer of the Service `default/web`. */
function web(options: MemberOptions = {}, rest: Partial<DesiredLoadBalancer> = {}): State {
  return () => desired({ id: WEB, members: [member(options)], ...rest });
}

/** The load balancer of the group `default/shared`, with these members, oldest first. */
function group(...members: readonly Member[]): State {
  return () => desired({ id: groupId(), members });
}

function desired(options: Partial<DesiredLoadBalancer>): DesiredLoadBalancer {
  return deepFreeze(desiredLoadBalancer({ nodes: loopbackNodes(3), ...options }));
}

const api = member({ name: 'api', listeners: [{ port: 80 }, { port: 443 }] });
const mail = member({ name: 'mail', listeners: [{ port: 25 }] });
const dns = member({ name: 'dns', listeners: [{ port: 53, protocol: 'UDP' }] });

const local: MemberOptions = {
  trafficPolicy: 'Local',
  healthCheckNodePort: 32_700,
  endpointNodes: ['node-1', 'node-3'],
};

/** Every setting that the provider honours, at a value that is not the default. */
const settings: State = ({ capabilities }) => {
  const all: Required<MemberSettings> = {
    algorithm: 'least-connections',
    proxyProtocol: 'v2',
    idleTimeoutSeconds: 30,
    maxConnections: 100,
    drainTimeoutSeconds: 5,
  };
  return desired({
    id: WEB,
    members: [
      member({
        affinitySeconds: 600,
        sourceRanges: ['127.0.0.0/8', '192.0.2.0/24'],
        settings: Object.fromEntries(capabilities.settings.map((name) => [name, all[name]])),
      }),
    ],
  });
};

/** Asks for the address of this index, counted from the end, so that it is not what comes first by itself. */
function requesting(fromEnd: number, families: readonly IpFamily[] = ['IPv4']): State {
  return ({ addresses }) =>
    desired({
      id: WEB,
      members: [member({ families: families.map((family) => ({ family, required: true })) })],
      requestedAddresses: families.map((family) => {
        const address = addresses[family].at(-1 - fromEnd);
        if (address === undefined) throw new Error(`the harness has too few ${family} addresses to ask for one`);
        return address;
      }),
    });
}

export const STATES: Readonly<Record<string, State>> = {
  'one TCP port': web(),
  'several ports': web({ listeners: [{ port: 80 }, { port: 443 }, { port: 8443 }] }),
  'a UDP port': web({ listeners: [{ port: 53, protocol: 'UDP' }] }),
  'TCP and UDP on the same port': web({ listeners: [{ port: 53 }, { port: 53, protocol: 'UDP' }] }),
  'IPv6 only': web({ families: [{ family: 'IPv6', required: true }] }),
  'both families required': web({ families: BOTH }),
  'both families preferred': web({
    families: [
      { family: 'IPv6', required: true },
      { family: 'IPv4', required: false },
    ],
  }),
  'a group of three members': group(api, mail, dns),
  'Local policy': web(local),
  'Local policy without endpoints': web({ ...local, endpointNodes: [] }),
  'affinity, source ranges and settings': settings,
  'a requested address': requesting(0),
  'a requested address of each family': requesting(0, ['IPv4', 'IPv6']),
  'two hundred nodes': web({}, { nodes: loopbackNodes(200) }),
  'no node': web({}, { nodes: loopbackNodes(0) }),
};

const one = web();
const two = web({ listeners: [{ port: 80 }, { port: 443 }] });

export const CHANGES: Readonly<Record<string, Change>> = {
  ...Object.fromEntries(
    Object.entries(STATES).map(([name, to]) => [`create: ${name}`, { to, additive: true } as const]),
  ),
  ...Object.fromEntries(Object.entries(STATES).map(([name, from]) => [`delete: ${name}`, { from }] as const)),
  'add a port': { from: one, to: two, additive: true },
  'remove a port': { from: two, to: one },
  'change a port': { from: one, to: web({ listeners: [{ port: 8080, nodePort: 30_080 }] }) },
  'change a protocol': { from: one, to: web({ listeners: [{ port: 80, protocol: 'UDP' }] }) },
  'change a NodePort': { from: one, to: web({ listeners: [{ port: 80, nodePort: 31_111 }] }) },
  'swap two NodePorts': {
    from: web({
      listeners: [
        { port: 80, nodePort: 30_001 },
        { port: 81, nodePort: 30_002 },
      ],
    }),
    to: web({
      listeners: [
        { port: 80, nodePort: 30_002 },
        { port: 81, nodePort: 30_001 },
      ],
    }),
  },
  'rename and reorder ports': {
    from: web({
      listeners: [
        { port: 80, name: 'a' },
        { port: 81, name: 'b' },
      ],
    }),
    to: web({
      listeners: [
        { port: 81, name: 'c' },
        { port: 80, name: 'd' },
      ],
    }),
  },
  'add a node': { from: one, to: web({}, { nodes: loopbackNodes(4) }), additive: true },
  'remove a node': { from: one, to: web({}, { nodes: loopbackNodes(2) }) },
  'remove every node': { from: one, to: web({}, { nodes: loopbackNodes(0) }) },
  'a member joins': { from: group(api), to: group(api, mail), additive: true },
  'an older member joins': { from: group(mail), to: group(api, mail), additive: true },
  'the youngest member leaves': { from: group(api, mail, dns), to: group(api, mail) },
  'the oldest member leaves': { from: group(api, mail, dns), to: group(mail, dns) },
  'a port goes from one member to another': {
    from: group(api, mail),
    to: group(
      member({ name: 'api', listeners: [{ port: 80 }] }),
      member({ name: 'mail', listeners: [{ port: 25 }, { port: 443, nodePort: 31_443 }] }),
    ),
  },
  'change the settings': { from: one, to: settings },
  'remove the settings': { from: settings, to: one },
  'change the policy to Local': { from: one, to: web(local) },
  'change the policy to Cluster': { from: web(local), to: one },
  'endpoints move to another node': { from: web(local), to: web({ ...local, endpointNodes: ['node-2'] }) },
  'add a family': { from: one, to: web({ families: BOTH }) },
  'remove a family': { from: web({ families: BOTH }), to: one },
  'ask for another address': { from: requesting(0), to: requesting(1) },
  'a Service of the same name with another UID': { from: one, to: web({ uid: 'uid-recreated' }) },
};
