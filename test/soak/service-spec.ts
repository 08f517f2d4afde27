import type { Service } from '#src/kube/wire';
import type { Asked } from './script.ts';
import { CLASSES, type Site } from './site.ts';

type Spec = NonNullable<Service['spec']>;

/** What a user writes into the spec, over what is there: what the API server has given stays as long as it fits. */
export function specOf(asked: Asked, site: Site, present: Spec | undefined): Spec {
  const { type, families, policy } = asked;
  const balanced = type === 'LoadBalancer';
  const loadBalancerClass = balanced ? CLASSES[asked.class] : undefined;
  const local = type !== 'ClusterIP' && policy === 'Local';
  return {
    ...(present?.clusterIP && { clusterIP: present.clusterIP }),
    ...(present?.clusterIPs && { clusterIPs: present.clusterIPs }),
    type,
    ipFamilies: [...families],
    ipFamilyPolicy: families.length === 1 ? 'SingleStack' : asked.requiresBoth ? 'RequireDualStack' : 'PreferDualStack',
    ports: portsOf(asked, site, present),
    sessionAffinity: asked.affinity ? 'ClientIP' : 'None',
    ...(type !== 'ClusterIP' && { externalTrafficPolicy: policy }),
    ...(balanced && local && present?.healthCheckNodePort && { healthCheckNodePort: present.healthCheckNodePort }),
    ...(loadBalancerClass !== undefined && { loadBalancerClass }),
    ...(balanced && { allocateLoadBalancerNodePorts: asked.nodePorts }),
    ...(balanced &&
      asked.ranges.length > 0 && { loadBalancerSourceRanges: asked.ranges.map((range) => site.text(range)) }),
  };
}

function portsOf({ type, ports }: Asked, site: Site, present: Spec | undefined): NonNullable<Spec['ports']> {
  return ports.map(({ port: place, protocol }) => {
    const port = site.port(place);
    const before = present?.ports?.find((each) => each.port === port && each.protocol === protocol);
    return {
      name: `p${place}-${protocol.toLowerCase()}`,
      port,
      protocol,
      ...(type !== 'ClusterIP' && before?.nodePort && { nodePort: before.nodePort }),
    };
  });
}
