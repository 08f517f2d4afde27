/** Who of the Services that ask for one load balancer gets what of it, before anybody else is looked at. */
import type { ProviderName, Request, RequestedPort } from './request.ts';

export interface Candidate {
  readonly request: Request;
  /** The ports that it has on its load balancer. */
  readonly ports: readonly RequestedPort[];
  /** `80/TCP`: those that an older Service has. */
  readonly lost: readonly string[];
}

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
export function groupsOf(requests: readonly Request[]): readonly Group[] {
  return [...Map.groupBy(requests, ({ key }) => key)].map(([key, own]) => groupOf(key, own));
}

function groupOf(key: string, requests: readonly Request[]): Group {
  const candidates: Candidate[] = [];
  const refused: Group['refused'][number][] = [];
  const addresses = new Map<boolean, string>();
  const taken = new Set<string>();
  for (const request of requests.toSorted(byAge)) {
    if (request.faults.length > 0) {
      refused.push({ request, codes: request.faults, input: true });
      continue;
    }
    const isIpv6 = (address: string): boolean => address.includes(':');
    if (request.addresses.some((address) => (addresses.get(isIpv6(address)) ?? address) !== address)) {
      refused.push({ request, codes: ['InvalidAnnotation'], input: true });
      continue;
    }
    const ports = request.ports.filter((port) => !taken.has(port.key));
    const lost = request.ports.filter((port) => taken.has(port.key)).map((port) => port.key);
    if (ports.length === 0) {
      // Ports that cannot be carried are a matter of the request, ports that others have are not.
      const input = request.unsupported.length > 0;
      refused.push({ request, codes: input ? ['UnsupportedProtocol'] : ['PortConflict'], input });
      continue;
    }
    for (const port of ports) taken.add(port.key);
    for (const address of request.addresses) addresses.set(isIpv6(address), address);
    candidates.push({ request, ports, lost });
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
