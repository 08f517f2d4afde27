/** Where a Service is whose group makes no sense: where it was before, which only the world can tell. */
import type { Request } from './request.ts';
import { shownAddresses } from './statements.ts';
import type { World } from './world.ts';

/** The same requests, strays with the key of the load balancer that serves them. */
export function atHome(requests: readonly Request[], world: World): readonly Request[] {
  return requests.map((request) => (request.isStray ? { ...request, key: homeOf(request, requests, world) } : request));
}

function homeOf(stray: Request, requests: readonly Request[], { cloud, pools }: World): string {
  const { provider, service, key } = stray;
  if (provider === 'cloud') {
    return cloud?.balancers.find(({ members }) => members.includes(service.metadata.uid))?.owner ?? key;
  }
  // Of the addresses of IPv4 each load balancer has its own.
  const own = shownAddresses(service).find((address) => pools.proxy.includes(address) && !address.includes(':'));
  if (own === undefined) return key;
  const mates = requests.filter((each) => each.provider === provider && shownAddresses(each.service).includes(own));
  const settled = mates.find(({ isStray }) => !isStray);
  if (settled) return settled.key;
  return mates.length > 1 ? `held/${own}` : key;
}
