/** Ports that no Service gets: those that the machine itself, or Kubernetes on it, listens on or may listen on soon. */
import { BallastError } from '#src/errors';

/** Both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Reads ports and ranges like `10248-10260`; `none` alone for no port. Throws `InvalidConfig` naming `flag` and the entry. */
export function parseReservedPorts(entries: readonly string[], flag: string): readonly PortRange[] {
  if (entries.length === 1 && entries[0]?.trim() === 'none') return [];
  return entries.map((entry) => {
    const [, firstText = '', lastText = firstText] = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(entry) ?? [];
    const [first, last] = [Number(firstText), Number(lastText)];
    if (first >= 1 && first <= last && last <= 65_535) return { first, last };
    const message = `--${flag}: ${JSON.stringify(entry)} is neither a port nor a range of ports like 10248-10260.`;
    throw new BallastError('InvalidConfig', message, { field: flag });
  });
}

export function isReserved(port: number, reserved: readonly PortRange[]): boolean {
  return reserved.some(({ first, last }) => first <= port && port <= last);
}
