const MACHINE: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);
const ROUTE: ReadonlySet<string | undefined> = new Set(['ENETUNREACH', 'ENETDOWN', 'EAFNOSUPPORT']);

/**
 * Whose fault it is that a target could not be reached: this machine's, which lacks descriptors, memory or ports, so
 * that no target can be; the network's, which has no way from here to this one; or the target's own.
 */
export function faultOf(error: NodeJS.ErrnoException): 'machine' | 'route' | 'target' {
  return MACHINE.has(error.code) ? 'machine' : ROUTE.has(error.code) ? 'route' : 'target';
}
