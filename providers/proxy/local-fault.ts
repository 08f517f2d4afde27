const MACHINE: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);
const ROUTE: ReadonlySet<string | undefined> = new Set(['ENETUNREACH', 'ENETDOWN', 'EAFNOSUPPORT']);

/**
 * Whose fault it is that a target could not be reached: this machine's, which lacks descriptors or memory, so that no
 * target can be; that of its ports, of which this target has used up all, while every other has them to itself
 * (RFC 9293 3.3.1: a connection is the pair of sockets); the network's, which has no way from here to this one; or the
 * target's own.
 */
export function faultOf(error: NodeJS.ErrnoException): 'machine' | 'ports' | 'route' | 'target' {
  if (MACHINE.has(error.code)) return 'machine';
  if (error.code === 'EADDRNOTAVAIL') return 'ports';
  return ROUTE.has(error.code) ? 'route' : 'target';
}
