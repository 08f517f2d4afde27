const CODES: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);

/** Whether a connection failed for want of descriptors, memory or ports of this machine, which no target is to blame for. */
export function isLocalFault(error: NodeJS.ErrnoException): boolean {
  return CODES.has(error.code);
}
