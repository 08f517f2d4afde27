/** Counts what arrives at the nodes, in their kernels: what the proxy says of itself proves nothing. */
import type { Lab } from '#test/lab/lab';

const TABLE = 'e2e_arrivals';

interface Ruleset {
  readonly nftables: readonly {
    readonly rule?: { readonly expr: readonly { readonly counter?: { readonly packets: number } }[] };
  }[];
}

/** TCP connections (packets with SYN alone) that reached a port of each node since `countArrivals`. */
export class Arrivals {
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** By node. */
  async read(): Promise<Readonly<Record<string, number>>> {
    const counts = await Promise.all(
      this.#lab.nodes.map(async (node) => {
        const { stdout } = await node.exec(['nft', '--json', 'list', 'table', 'inet', TABLE]);
        const { nftables }: Ruleset = JSON.parse(stdout);
        const counters = nftables.flatMap(({ rule }) => rule?.expr.flatMap(({ counter }) => counter ?? []) ?? []);
        const [counter] = counters;
        if (!counter || counters.length > 1) throw new Error(`${node.name} has ${counters.length} counters: ${stdout}`);
        return [node.name, counter.packets] as const;
      }),
    );
    return Object.fromEntries(counts);
  }
}

/** Starts counting from zero at this port of every node, in place of whatever was counted before. */
export async function countArrivals(lab: Lab, port: number): Promise<Arrivals> {
  const rules = [
    `table inet ${TABLE}`,
    `delete table inet ${TABLE}`,
    `add table inet ${TABLE}`,
    `add chain inet ${TABLE} arrivals { type filter hook prerouting priority raw; policy accept; }`,
    `add rule inet ${TABLE} arrivals tcp dport ${port} tcp flags & (syn | ack) == syn counter`,
    '',
  ].join('\n');
  await Promise.all(lab.nodes.map((node) => node.exec(['nft', '--file', '-'], { input: rules })));
  return new Arrivals(lab);
}
