import type { Service } from '../kube/wire.ts';
import { parseIp } from './ip.ts';
import { listenerKey, type Member, type Protocol } from './model.ts';
import { protocolOf } from './member.ts';
import type { Problem } from './problem.ts';
import type { Address, Capabilities } from './provider.ts';

/** One entry of `status.loadBalancer.ingress` (`core/v1` LoadBalancerIngress). */
export interface Ingress {
  readonly ip?: string;
  readonly hostname?: string;
  /** Only with `ip` (KEP-1860). */
  readonly ipMode?: string;
  readonly ports?: readonly IngressPort[];
}

export interface IngressPort {
  readonly port: number;
  readonly protocol: string;
  /** `<domain>/<CamelCase>` (`core/v1` PortStatus). */
  readonly error?: string;
}

export interface IngressInput {
  readonly service: Service;
  readonly member: Member;
  readonly addresses: readonly Address[];
  readonly ipMode: Capabilities['ipMode'];
  /** What is wrong with single listeners. */
  readonly problems: readonly Problem[];
  /** The ports are listed although none has an error: no condition names those that are served. */
  readonly listsPorts: boolean;
}

/**
 * What the Service publishes: the addresses of its families, in its order of them. The ports are listed, all of them,
 * as soon as one has an error, or where nothing else would tell which are served: see `publishedListenersOf`.
 */
export function ingressOf(input: IngressInput): readonly Ingress[] {
  const { service, member, addresses, ipMode, problems, listsPorts } = input;
  const order = member.families.map(({ family }) => family);
  const ips = addresses
    .filter((address) => address.kind === 'ip')
    .filter(({ family }) => order.includes(family))
    .sort((a, b) => order.indexOf(a.family) - order.indexOf(b.family))
    .map(({ ip }): Ingress => ({ ip, ipMode }));
  const hostnames = addresses
    .filter((address) => address.kind === 'hostname')
    .map(({ hostname }): Ingress => ({ hostname }));
  const ports = listsPorts || problems.some(({ listener }) => listener) ? portsOf(service, problems) : [];
  return [...ips, ...hostnames].map((ingress) => (ports.length === 0 ? ingress : { ...ingress, ports }));
}

/** Every port of the Service, with its error where it has one. */
function portsOf(service: Service, problems: readonly Problem[]): readonly IngressPort[] {
  const errors = new Map<string, string>();
  for (const { listener, code } of problems) {
    if (listener && !errors.has(listenerKey(listener))) errors.set(listenerKey(listener), `ballast.dev/${code}`);
  }
  return (service.spec?.ports ?? []).flatMap((servicePort): IngressPort[] => {
    const protocol: Protocol | undefined = protocolOf(servicePort);
    if (protocol === undefined) return [];
    const { port } = servicePort;
    const error = errors.get(listenerKey({ port, protocol }));
    return [error === undefined ? { port, protocol } : { port, protocol, error }];
  });
}

/** What the Service's status shows now. */
export function currentIngress(service: Service): readonly Ingress[] {
  return service.status?.loadBalancer?.ingress ?? [];
}

/** Whether two lists say the same, in the same order; the API server's defaults count as written. */
export function sameIngress(a: readonly Ingress[], b: readonly Ingress[]): boolean {
  return JSON.stringify(a.map(normal)) === JSON.stringify(b.map(normal));
}

function normal({ ip, hostname, ipMode, ports }: Ingress): readonly unknown[] {
  return [
    ip && (parseIp(ip)?.text ?? ip),
    hostname,
    ip && (ipMode ?? 'VIP'),
    (ports ?? []).map(({ port, protocol, error }) => [port, protocol, error]),
  ];
}
