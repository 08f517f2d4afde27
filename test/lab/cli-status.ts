import { isRunning } from '../control-plane/process-identity.ts';
import type { Lab } from './lab.ts';
import type { LabState, NodeRecord } from './state.ts';

/** What `status` tells of a node: our side of it and the cluster's. */
export interface NodeStatus {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly power: 'on' | 'off';
  readonly link: 'up' | 'down';
  readonly paused: boolean;
  /** Status of the condition Ready: `True`, `False`, or `Unknown`. */
  readonly ready: string;
}

export interface LabStatus {
  readonly name: string;
  readonly phase: LabState['phase'];
  readonly startedAt: string;
  readonly ipFamily: LabState['ipFamily'];
  readonly proxyMode: LabState['proxyMode'];
  /** Process that will take it down, unless it has ended itself; none for a lab that stays until `down`. */
  readonly owner: { readonly pid: number; readonly running: boolean } | undefined;
  readonly kubeconfig: string;
  readonly nodes: readonly NodeStatus[];
  readonly machines: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  /** Parts of the lab, outside of the nodes, that no longer run. */
  readonly ended: readonly string[];
}

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  }[];
}

/** Looks at a lab from both sides: its own notes and processes, and the API server's nodes. */
export async function labStatus(lab: Lab): Promise<LabStatus> {
  const { state } = lab;
  const list = await lab.request<NodeList>('GET', '/api/v1/nodes', undefined, { timeoutMs: 5_000 });
  const ready = new Map(
    list.items.map(({ metadata, status }) => [
      metadata.name,
      status.conditions?.find(({ type }) => type === 'Ready')?.status ?? 'Unknown',
    ]),
  );
  return {
    name: state.name,
    phase: state.phase,
    startedAt: state.startedAt,
    ipFamily: state.ipFamily,
    proxyMode: state.proxyMode,
    owner: state.owner && { pid: state.owner.pid, running: isRunning(state.owner) },
    kubeconfig: lab.kubeconfigPath,
    nodes: state.nodes
      .toSorted((a, b) => a.index - b.index)
      .map((node) => nodeStatus(node, ready.get(node.name) ?? 'Unknown')),
    machines: state.machines.map(({ name, addresses }) => ({ name, addresses: Object.values(addresses) })),
    ended: state.processes
      .filter(({ machine, process }) => machine === undefined && !isRunning(process))
      .map(({ name }) => name),
  };
}

function nodeStatus({ name, addresses, keeper, link, paused }: NodeRecord, ready: string): NodeStatus {
  return {
    name,
    addresses: Object.values(addresses),
    power: keeper && isRunning(keeper) ? 'on' : 'off',
    link,
    paused,
    ready,
  };
}

/** The same for people. */
export function formatStatus(status: LabStatus): string {
  const until = status.owner?.running ? `until process ${status.owner.pid} ends it` : 'until `npm run lab -- down`';
  const lines = [
    `Lab ${status.name}: ${status.phase} since ${status.startedAt}, ${until}`,
    `  ${status.ipFamily}, kube-proxy in mode ${status.proxyMode}`,
    `  export KUBECONFIG=${status.kubeconfig}`,
    ...status.nodes.map((node) => `  ${node.name.padEnd(14)} ${node.addresses.join(' ')}  ${nodeWords(node)}`),
    ...status.machines.map(({ name, addresses }) => `  ${name.padEnd(14)} ${addresses.join(' ')}`),
    ...status.ended.map((name) => `  ${name.padEnd(14)} has ended; see \`npm run lab -- logs ${name}\``),
  ];
  return lines.join('\n');
}

function nodeWords({ power, link, paused, ready }: NodeStatus): string {
  if (power === 'off') return `off (the cluster says Ready: ${ready})`;
  const words = [ready === 'True' ? 'Ready' : `not Ready (${ready})`];
  if (link === 'down') words.push('cut off');
  if (paused) words.push('paused');
  return words.join(', ');
}
