import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning } from '../control-plane/process-identity.ts';
import { inOrder, podCidrs } from './addresses.ts';
import type { LabContext } from './context.ts';
import { LabError } from './errors.ts';
import { inNamespace } from './network.ts';
import type { BootedNode } from './node-boot.ts';
import { BOOTED } from './node-init.ts';
import { run } from './run.ts';
import { tail, waitFor } from './wait.ts';

const BOOTED_WITHIN_MS = 120_000;
const READY_WITHIN_MS = 60_000;

interface NodeObject {
  readonly spec: { readonly podCIDR?: string };
  readonly status: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly lastHeartbeatTime: string;
    }[];
  };
}

/** Waits until a node has its images, the API server calls it Ready, and its kube-proxy has done its work once. */
export async function waitForNode(
  context: LabContext,
  booted: BootedNode,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { name } = booted;
  const folder = context.directory.node(name);
  await waitForBoot(context, booted, signal);
  const node = await waitFor({
    what: `node ${name} to be Ready`,
    timeoutMs: READY_WITHIN_MS,
    signal,
    log: folder.log('kubelet'),
    check: async () => {
      const object = await context.api.json<NodeObject>('GET', `/api/v1/nodes/${name}`, undefined, { signal });
      return isReadySince(object, booted.at) ? object : undefined;
    },
  });
  await recordPodCidrs(context, name, node, signal);
  await waitFor({
    what: `kube-proxy of node ${name} to have its rules in the kernel`,
    timeoutMs: READY_WITHIN_MS,
    signal,
    log: folder.log('kube-proxy'),
    check: async () => {
      const health = ['curl', '-fsS', '-m', '1', 'http://127.0.0.1:10256/healthz'];
      await run(inNamespace(context.name, name, health), { signal });
      return true;
    },
  });
}

async function waitForBoot(
  context: LabContext,
  { name, keeper }: BootedNode,
  signal: AbortSignal | undefined,
): Promise<void> {
  const folder = context.directory.node(name);
  const log = folder.log('init');
  const alive = await waitFor({
    what: `node ${name} to start its daemons`,
    timeoutMs: BOOTED_WITHIN_MS,
    signal,
    log,
    check: async () => {
      if (!isRunning(keeper)) return false;
      return existsSync(join(folder.files, BOOTED)) || undefined;
    },
  });
  if (!alive) throw new LabError(`Node ${name} ended while it started. The end of ${log}:\n${await tail(log, 20)}`);
}

/** After a restart the API server still has the word of the kubelet before; only a newer one counts. */
function isReadySince({ status }: NodeObject, at: number): boolean {
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  // Times of the API have whole seconds.
  return ready?.status === 'True' && Date.parse(ready.lastHeartbeatTime) >= Math.floor(at / 1_000) * 1_000;
}

/** The lab gives out the pods' ranges itself; tools that read them from the Node find them there. */
async function recordPodCidrs(
  { families, api }: LabContext,
  name: string,
  { spec }: NodeObject,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (spec.podCIDR !== undefined) return;
  const cidrs = inOrder(families, podCidrs(families, Number(name.slice(1))));
  const patch = { spec: { podCIDR: cidrs[0], podCIDRs: cidrs } };
  await api.json('PATCH', `/api/v1/nodes/${name}`, patch, { signal });
}
