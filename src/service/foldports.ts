/** A port and protocol, as `listenerKey` writes them. */
const PORT = /\b\d+\/(?:TCP|UDP|SCTP)\b/g;

/** As many ports as a sentence names. */
const NAMED = 10;

/**
 * A text in which each sentence stands once: sentences that differ in a port alone become one with all the ports, since
 * what is wrong with an address is wrong with every port of it.
 */
export function foldPorts(text: string): string {
  const folded = new Map<string, string[]>();
  for (const sentence of text.split(/(?<=[.?!]) (?=\S)/)) {
    const ports = sentence.match(PORT) ?? [];
    const pattern = ports.length === 1 ? sentence.replace(PORT, '<>') : sentence;
    folded.set(pattern, [...(folded.get(pattern) ?? []), ...(ports.length === 1 ? ports : [])]);
  }
  return [...folded].map(([pattern, ports]) => (ports.length === 0 ? pattern : fill(pattern, ports))).join(' ');
}

function fill(pattern: string, ports: readonly string[]): string {
  const named = [...new Set(ports)];
  const rest = named.length - NAMED;
  const list = [...named.slice(0, NAMED), ...(rest > 0 ? [`${rest} more`] : [])].join(', ');
  return pattern.replace('<>', () => list);
}
