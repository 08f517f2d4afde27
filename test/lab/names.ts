import { LabError } from './errors.ts';

/** Every network namespace and cgroup of a lab starts with this. A lab's name has no dash, so no prefix meets another's. */
export function labPrefix(lab: string): string {
  return `ballast-${lab}-`;
}

/** The network namespace of a node, a machine, or one of `FABRIC`, `CONTROL_PLANE`, `ROUTER`. */
export function namespaceName(lab: string, member: string): string {
  return labPrefix(lab) + member;
}

/** Where iproute2 keeps named network namespaces. */
export const NAMESPACE_FOLDER = '/run/netns';

/** Where `ip netns add` binds a named network namespace. */
export function namespacePath(lab: string, member: string): string {
  return `${NAMESPACE_FOLDER}/${namespaceName(lab, member)}`;
}

/** The cgroup of a node, in every hierarchy. */
export function cgroupName(lab: string, node: string): string {
  return labPrefix(lab) + node;
}

/** The namespace with the bridge that everything hangs on. */
export const FABRIC = 'fabric';
/** The namespace of etcd, the API server and the other parts of the control plane. */
export const CONTROL_PLANE = 'cp';
/** The namespace that routes between the nodes' network and the one behind it. */
export const ROUTER = 'router';

const RESERVED: readonly string[] = [FABRIC, CONTROL_PLANE, ROUTER];

/** Refuses lab names that would not fit a network interface, a cgroup and a path. */
export function checkLabName(name: string): void {
  if (!/^[a-z][a-z0-9]{0,15}$/.test(name)) {
    throw new LabError(
      `A lab cannot be named \`${name}\`: use 1 to 16 lower-case letters and digits, a letter first, no dash`,
    );
  }
}

/** Refuses machine names that do not fit a network interface (15 characters with our `p-`) or are nodes' or ours. */
export function checkMachineName(name: string): void {
  if (!/^[a-z][a-z0-9-]{0,12}$/.test(name) || /^n\d+$/.test(name) || RESERVED.includes(name)) {
    throw new LabError(
      `A machine cannot be named \`${name}\`: use 1 to 13 lower-case letters, digits and dashes, a letter first; ` +
        `\`n1\`, \`n2\`, … and ${RESERVED.map((reserved) => `\`${reserved}\``).join(', ')} are taken`,
    );
  }
}
