import type { Service } from '../kube/wire.ts';
import { LOAD_BALANCER_ANNOTATION } from './annotations.ts';
import { memberName } from './identity.ts';
import type { LoadBalancerId, Refusal } from './model.ts';
import { quoted } from './problem.ts';

/** Groups that Services of other namespaces may join: `<namespace>/<name>` of the group → namespaces, or all. */
export type AllowedGroups = ReadonlyMap<string, readonly string[] | '*'>;

/** Which load balancer a Service asks for. Refused, it has none to share and stands under its own name. */
export interface Assignment {
  readonly id: LoadBalancerId;
  readonly refusal?: Refusal;
}

/** RFC 1123 label, as Kubernetes names namespaces. */
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const FIELD = `metadata.annotations[${LOAD_BALANCER_ANNOTATION}]`;

/** The load balancer of the Service: its own, or the group that its annotation names. */
export function assignmentOf(service: Service, allowedGroups: AllowedGroups): Assignment {
  const { name, namespace = '', uid } = service.metadata;
  const own: LoadBalancerId = { kind: 'service', namespace, name };
  const value = service.metadata.annotations?.[LOAD_BALANCER_ANNOTATION];
  if (value === undefined) return { id: own };
  const refuse = (code: Refusal['code'], message: string): Assignment => ({
    id: own,
    refusal: { member: uid, code, message, field: FIELD },
  });

  const parts = value.split('/');
  const [groupNamespace = '', groupName = ''] = parts.length === 1 ? [namespace, ...parts] : parts;
  if (parts.length > 2 || !DNS_LABEL.test(groupName) || (parts.length === 2 && !DNS_LABEL.test(groupNamespace))) {
    return refuse(
      'InvalidAnnotation',
      `The annotation ${LOAD_BALANCER_ANNOTATION} is ${quoted(value)}; write \`<name>\` or ` +
        '`<namespace>/<name>`, each of at most 63 lower-case letters, digits and inner hyphens.',
    );
  }
  const group: LoadBalancerId = { kind: 'group', namespace: groupNamespace, name: groupName };
  if (mayUse(service, group, allowedGroups)) return { id: group };
  return refuse(
    'GroupNotAllowed',
    `Services of the namespace ${namespace} may not join the load balancer group ${groupNamespace}/${groupName}; ` +
      'use a group of the own namespace, or ask the operator to allow it with `--allow-group`.',
  );
}

/** Whether the Service may be with this load balancer: its own, a group of its namespace, or one that is open to it. */
export function mayUse({ metadata }: Service, id: LoadBalancerId, allowedGroups: AllowedGroups): boolean {
  if (id.namespace === metadata.namespace) return id.kind === 'group' || id.name === metadata.name;
  const allowed = id.kind === 'group' ? allowedGroups.get(memberName(id)) : undefined;
  return allowed === '*' || (metadata.namespace !== undefined && allowed?.includes(metadata.namespace) === true);
}
