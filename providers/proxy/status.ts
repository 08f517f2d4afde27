/** What to publish of a load balancer as observed. Pure; the texts hold no numbers, so that they change only with the answer. */
import { parseIp } from '#src/loadbalancer/ip';
import type { DesiredLoadBalancer, Member } from '#src/loadbalancer/model';
import type { Address, LoadBalancerStatus, Readiness } from '#src/loadbalancer/provider';
import type { Observed } from './observed.ts';
import type { ProxyOptions } from './options.ts';

/** Publishes the addresses on which something of the load balancer listens, the oldest member's primary family first. */
export function statusOf(
  desired: DesiredLoadBalancer,
  observed: Observed,
  { listen }: Pick<ProxyOptions, 'listen'>,
): LoadBalancerStatus {
  const open = new Set(observed.listeners.map(({ address }) => address));
  const order = desired.members.flatMap((member) => member.families.map(({ family }) => family));
  const addresses = observed.addresses
    .filter((address) => open.has(address))
    .flatMap((text): readonly Address[] => {
      const parsed = parseIp(text);
      return parsed ? [{ kind: 'ip', ip: parsed.text, family: parsed.family }] : [];
    })
    .toSorted((a, b) => (a.kind === 'ip' && b.kind === 'ip' ? order.indexOf(a.family) - order.indexOf(b.family) : 0));
  const readiness = new Map(
    desired.members.map((member) => [member.ref.uid, listen ? readinessOf(member, desired, observed) : ADDRESS_ONLY]),
  );
  return { addresses, readiness };
}

/** A member is ready once a health check of one of its nodes has passed. */
function readinessOf({ ref, trafficPolicy }: Member, desired: DesiredLoadBalancer, observed: Observed): Readiness {
  const own = observed.targets.find(({ member }) => member === ref.uid);
  if (!own || !observed.listeners.some(({ member }) => member === ref.uid)) {
    return notReady('NotListening', 'No port of the Service is open on the load balancer.');
  }
  switch (own.health) {
    case 'healthy':
      return { ready: true, reason: 'TargetsHealthy', message: 'At least one node is healthy.' };
    case 'unchecked':
      return notReady('NotChecked', 'No node has answered a health check yet.');
    case 'unhealthy':
      return notReady('NoHealthyTargets', UNHEALTHY[trafficPolicy]);
    default:
      return desired.nodes.nodes.length > 0 && trafficPolicy === 'Local'
        ? notReady('NoLocalEndpoints', 'No node has a ready endpoint, and externalTrafficPolicy is Local.')
        : notReady('NoNodes', 'No node of the cluster may receive load balancer traffic.');
  }
}

/** Nobody here knows whether traffic arrives. */
const ADDRESS_ONLY: Readiness = notReady(
  'AddressOnly',
  'Ballast only gives the address (--proxy-listen=false); something else has to bring the traffic to the nodes.',
);

const UNHEALTHY: Readonly<Record<Member['trafficPolicy'], string>> = {
  Local:
    'No node that has an endpoint passes the health check on the healthCheckNodePort; see kube-proxy on those nodes ' +
    'and the network to them. Connections are tried all the same.',
  Cluster:
    'No node passes the health check of its kube-proxy; see kube-proxy on the nodes, the network to them, and ' +
    '--proxy-health-port. Connections are tried all the same.',
};

function notReady(reason: string, message: string): Readiness {
  return { ready: false, reason, message };
}
