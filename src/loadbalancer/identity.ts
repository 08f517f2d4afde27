import type { LoadBalancerId, MemberRef } from './model.ts';

/** A LoadBalancerId as one string, for queues and maps: `service/<namespace>/<name>` or `group/<namespace>/<name>`. */
export type LoadBalancerKey = `${LoadBalancerId['kind']}/${string}/${string}`;

/** Kubernetes names hold no slash, so the parts never run together. */
export function keyOf(id: LoadBalancerId): LoadBalancerKey {
  return `${id.kind}/${id.namespace}/${id.name}`;
}

/** The inverse of `keyOf`; throws a TypeError on anything else. */
export function parseKey(key: string): LoadBalancerId {
  const [kind, namespace, name, ...rest] = key.split('/');
  if ((kind !== 'service' && kind !== 'group') || !namespace || !name || rest.length > 0) {
    throw new TypeError(`not a load balancer key: ${JSON.stringify(key)}`);
  }
  return { kind, namespace, name };
}

/** `namespace/name`, as people and kubectl write it. */
export function memberName(ref: Pick<MemberRef, 'namespace' | 'name'>): string {
  return `${ref.namespace}/${ref.name}`;
}
