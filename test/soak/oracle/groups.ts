/** Who of the Services that ask for one load balancer gets what of it, before anybody else is looked at. */
import type { ProviderName, Request, RequestedPort } from './request.ts';
import { conditionOf } from './statements.ts';

export interface Candidate {
  readonly request: Request;
  /** The ports that it has on its load balancer. */
  readonly ports: readonly RequestedPort[];
  /** `80/TCP`: those that an older Service has. */
  readonly lost: readonly string[];
  /** Codes for which its wishes are refused, while it goes on with earlier ones; empty for the others. */
  readonly faults: readonly string[];
}

/** Whether the Service is served: then a mistake in its annotations costs it nothing. */
export type IsServed = (request: Request) => boolean;

export interface Group {
  readonly provider: ProviderName;
  readonly key: string;
  /** Oldest first. */
  readonly candidates: readonly Candidate[];
  /** Refused for what they ask, or because nothing of them is left, with the codes. */
  readonly refused: readonly {
    readonly request: Request;
    readonly codes: readonly string[];
    readonly input: boolean;
  }[];
  /** The addresses that the oldest one of each family asks for. */
  readonly addresses: readonly string[];
}

/** The load balancers of one provider that are asked for. Where ports or addresses clash, the older Service has its way. */
export function groupsOf(requests: readonly Request[], isServed: IsServed): readonly Group[] {
  return [...Map.groupBy(requests, ({ key }) => key)].map(([key, own]) => groupOf(key, own, isServed));
}

function groupOf(key: string, requests: readonly Request[], isServed: IsServed): Group {
  const candidates: Candidate[] = [];
  const refused: Group['refused'][number][] = [];
  const addresses = new Map<boolean, string>();
  const taken = new Set<string>();
  for (const request of requests.toSorted(byAge)) {
    const isIpv6 = (address: string): boolean => address.includes(':');
    const clashes = request.addresses.some((address) => (addresses.get(isIpv6(address)) ?? address) !== address);
    // Which address an older one wishes that asks nonsense now, nobody else can know.
    const mayClash = request.addresses.length > 0 && candidates.some(({ faults }) => faults.length > 0);
    const isRefused = clashes || (mayClash && conditionOf(request.service, 'Accepted')?.reason === 'InvalidAnnotation');
    const faults = request.faults.length > 0 ? request.faults : isRefused ? ['InvalidAnnotation'] : [];
    const ports = request.ports.filter((port) => !taken.has(port.key));
    if (faults.length > 0 && (ports.length === 0 || !isServed(request))) {
      refused.push({ request, codes: faults, input: true });
      continue;
    }
    const lost = request.ports.filter((port) => taken.has(port.key)).map((port) => port.key);
    if (ports.length === 0) {
      // Ports that cannot be carried are a matter of the request, ports that others have are not.
      const input = request.unsupported.length > 0;
      refused.push({ request, codes: input ? ['UnsupportedProtocol'] : ['PortConflict'], input });
      continue;
    }
    for (const port of ports) taken.add(port.key);
    if (faults.length === 0) for (const address of request.addresses) addresses.set(isIpv6(address), address);
    candidates.push({ request, ports, lost, faults });
  }
  return { provider: requests[0]?.provider ?? 'proxy', key, candidates, refused, addresses: [...addresses.values()] };
}

function byAge({ service: a }: Request, { service: b }: Request): number {
  const order = (text: (service: Request['service']) => string): number => {
    const [left, right] = [text(a), text(b)];
    return left < right ? -1 : left > right ? 1 : 0;
  };
  return (
    order(({ metadata }) => metadata.creationTimestamp ?? '') ||
    order(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
  );
}
