/**
 * Filling the NodePorts that the API server left empty (`allocateLoadBalancerNodePorts: false`). The API server stays
 * the only allocator: a choice is a proposal, and "already allocated" means choose again.
 */
import type { Service, ServicePort } from '../kube/wire.ts';
import { listenerKey, type ListenerRef } from '../loadbalancer/model.ts';
import { protocolOf } from '../loadbalancer/member.ts';
import type { NodePortRange } from './config.ts';

/** The ports of the Service that have no NodePort. */
export function portsWithoutNodePort(service: Service): readonly ServicePort[] {
  return (service.spec?.ports ?? []).filter((port) => !port.nodePort);
}

/** Every number that some Service has, as a NodePort or as the port of its health check. */
export function usedNodePorts(services: Iterable<Service>): Set<number> {
  const used = new Set<number>();
  for (const { spec } of services) {
    for (const { nodePort } of spec?.ports ?? []) if (nodePort) used.add(nodePort);
    if (spec?.healthCheckNodePort) used.add(spec.healthCheckNodePort);
  }
  return used;
}

/**
 * The first number of the dynamic band (KEP-3668): below it lie the ports that people choose themselves,
 * min(max(16, size/32), 128) of them, none in a range of up to 16.
 */
export function dynamicBandStart({ min, max }: NodePortRange): number {
  const size = max - min + 1;
  if (size <= 16) return min;
  return min + Math.min(Math.max(16, Math.floor(size / 32)), 128);
}

export interface NodePortChoice {
  readonly range: NodePortRange;
  /** Numbers that are taken, or were refused before. */
  readonly used: ReadonlySet<number>;
  /** From 0 to below 1; spreads the choices, so that two who choose at once seldom meet. */
  readonly random: () => number;
  /** Which ports to fill; all by default. */
  readonly fills?: (port: ServicePort) => boolean;
}

export interface FilledPorts {
  /** All ports of the Service, in order. */
  readonly ports: readonly ServicePort[];
  /** The numbers that were filled in. */
  readonly chosen: readonly number[];
  /** The ports for which no number is free. */
  readonly unfilled: readonly ServicePort[];
}

/**
 * The Service's ports with a NodePort each, as far as there are any: the number of the same port under another
 * protocol where it is free for this one (as the API server does), else a random one of the dynamic band, else of the
 * static band.
 */
export function fillNodePorts(
  service: Service,
  { range, used, random, fills = () => true }: NodePortChoice,
): FilledPorts {
  const taken = new Set(used);
  const chosen: number[] = [];
  const unfilled: ServicePort[] = [];
  const ports = [...(service.spec?.ports ?? [])];
  for (const [index, port] of ports.entries()) {
    if (port.nodePort || !fills(port)) continue;
    const number = siblingNumber(port, ports) ?? freeNumber(range, taken, random);
    if (number === undefined) {
      unfilled.push(port);
      continue;
    }
    chosen.push(number);
    taken.add(number);
    ports[index] = { ...port, nodePort: number };
  }
  return { ports, chosen, unfilled };
}

/** The NodePort of the same port number under another protocol, unless this protocol has it already. */
function siblingNumber(port: ServicePort, ports: readonly ServicePort[]): number | undefined {
  const number = ports.find((other) => other.port === port.port && other.nodePort)?.nodePort;
  const clashes = ports.some((other) => other.nodePort === number && protocolOf(other) === protocolOf(port));
  return clashes ? undefined : number;
}

function freeNumber({ min, max }: NodePortRange, taken: ReadonlySet<number>, random: () => number): number | undefined {
  const start = dynamicBandStart({ min, max });
  return freeIn(start, max, taken, random) ?? freeIn(min, start - 1, taken, random);
}

/** The first free number from a random place on, going round. */
function freeIn(first: number, last: number, taken: ReadonlySet<number>, random: () => number): number | undefined {
  const size = last - first + 1;
  const offset = Math.floor(random() * size);
  for (let step = 0; step < size; step++) {
    const number = first + ((offset + step) % size);
    if (!taken.has(number)) return number;
  }
  return undefined;
}

/** `80/TCP` of a Service port, for messages. */
export function portName(port: ServicePort): string {
  const listener: ListenerRef = { port: port.port, protocol: protocolOf(port) ?? 'TCP' };
  return listenerKey(listener);
}
