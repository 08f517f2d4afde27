import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessIdentity } from '../control-plane/process-identity.ts';
import { nodeHost, podCidrs } from './addresses.ts';
import { createNodeCgroup } from './cgroups.ts';
import type { LabContext } from './context.ts';
import { startDaemon } from './daemon.ts';
import { namespacePath, ROUTER } from './names.ts';
import { changeRoutes, plugIn, type Route } from './network.ts';
import { kubeletFlags, kubeProxyFlags } from './node-config.ts';
import { boundPrograms, configInput } from './node-files.ts';
import { API_READY, BOOTED, nodeInitScript } from './node-init.ts';
import type { NodeRecord } from './state.ts';

/** A node that was started. */
export interface BootedNode {
  readonly name: string;
  /** The process, outside of the node's process namespace, that its first process hangs on. */
  readonly keeper: ProcessIdentity;
  /** When, in milliseconds since 1970. */
  readonly at: number;
}

const UNSHARE = [
  'unshare',
  '--mount',
  '--propagation=private',
  '--uts',
  '--ipc',
  '--pid',
  '--fork',
  '--mount-proc',
  '--kill-child=SIGKILL',
] as const;

/**
 * Gives a node its network namespace and starts its first process, which starts its daemons. The API server may still
 * be on its way: kubelet starts after `releaseNode`.
 */
export async function bootNode(context: LabContext, record: NodeRecord): Promise<BootedNode> {
  const { name, index } = record;
  const folder = context.directory.node(name);
  await plugIn(context.wiring, { member: name, network: 'nodes', host: nodeHost(index) });
  const input = await configInput(context, record);
  const script = nodeInitScript({
    name,
    directory: folder,
    cgroups: await createNodeCgroup(context.cgroups, context.name, name),
    programs: boundPrograms(context),
    snapshotter: input.snapshotter,
    kubeletFlags: kubeletFlags(input),
    kubeProxyFlags: kubeProxyFlags(input),
  });
  await writeFile(folder.init, script);
  await rm(join(folder.files, BOOTED), { force: true });
  const network = `--net=${namespacePath(context.name, name)}`;
  const at = Date.now();
  const command = ['nsenter', network, '--', ...UNSHARE, 'bash', folder.init];
  const keeper = await startDaemon({ command, logFile: folder.log('init'), directory: '/' });
  await context.store.putNode({ ...record, keeper, link: 'up', paused: false });
  return { name, keeper, at };
}

/** Tells a booting node that the API server answers. */
export async function releaseNode(context: LabContext, name: string): Promise<void> {
  await writeFile(join(context.directory.node(name).files, API_READY), '');
}

/** Gives every node that has power, and the router, the routes to the pods of all others. */
export async function routeNodes(context: LabContext): Promise<void> {
  const { wiring, store } = context;
  const nodes = store.state.nodes.filter(({ keeper }) => keeper !== undefined);
  await changeRoutes(wiring, ROUTER, 'replace', routesTo(context, nodes));
  for (const { name } of nodes) {
    const others = nodes.filter((other) => other.name !== name);
    await changeRoutes(wiring, name, 'replace', routesTo(context, others));
  }
}

/** Makes everybody forget the way to a node's pods. */
export async function unrouteNode(context: LabContext, record: NodeRecord): Promise<void> {
  const members = context.store.state.nodes.filter(({ name, keeper }) => keeper && name !== record.name);
  for (const member of [ROUTER, ...members.map(({ name }) => name)]) {
    await changeRoutes(context.wiring, member, 'del', routesTo(context, [record]));
  }
}

function routesTo({ families }: LabContext, nodes: readonly NodeRecord[]): readonly Route[] {
  return nodes.flatMap(({ index, addresses }) =>
    families.map((family) => ({ to: podCidrs(families, index)[family] ?? '', via: addresses[family] ?? '' })),
  );
}
