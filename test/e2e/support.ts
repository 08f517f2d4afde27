/** A lab for the tests of one file, and what they all need of it. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { RunningBallast } from '#test/lab/ballast';
import { Lab, type LabOptions } from '#test/lab/lab';
import type { LabMachine } from '#test/lab/machine';
import { tail, waitFor } from '#test/lab/wait';

/** What `useLab` gives; its lab is there once the file's tests begin. */
export interface LabUnderTest {
  readonly lab: Lab;
  /** The machine with this name. */
  machine(name: string): LabMachine;
  /** Says what was measured, in a line of its own. */
  report(line: string): void;
}

/**
 * Brings a lab up before the file's tests and takes it down after them. The files run one after the other, so all labs
 * have the same name, and what a killed run left is cleared by the next.
 */
export function useLab(options: LabOptions): LabUnderTest {
  let lab: Lab | undefined;
  const theLab = (): Lab => {
    if (!lab) throw new Error('the lab is not up');
    return lab;
  };
  beforeAll(async () => {
    lab = await Lab.up({ name: 'e2e', ...options });
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail' && lab) console.log(await logEnds(lab));
  });
  afterAll(async () => {
    await lab?.down();
  });
  return {
    get lab() {
      return theLab();
    },
    machine: (name) => theLab().machine(name),
    report: (line) => console.log(`    ${line}`),
  };
}

/** The ends of the logs of all controllers, for a test that failed: the lab takes its logs along. */
async function logEnds(lab: Lab): Promise<string> {
  const names = (await lab.components()).filter((name) => name.endsWith('-ballast'));
  const ends = await Promise.all(names.map(async (name) => [`${name}:`, await tail(await lab.logFile(name), 10)]));
  return ends.flat().join('\n');
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
    readonly spec: { readonly nodeName?: string };
    readonly status: { readonly podIP?: string };
  }[];
}

/** The pods with the label `app`; those that are being deleted do not count. */
async function podsOf(lab: Lab, app: string): Promise<PodList['items']> {
  const { items } = await lab.request<PodList>('GET', `/api/v1/namespaces/default/pods?labelSelector=app%3D${app}`);
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/** The node of each pod with the label `app`, by the pod's name. */
export async function nodesOfPods(lab: Lab, app: string): Promise<ReadonlyMap<string, string>> {
  const pods = await podsOf(lab, app);
  return new Map(pods.flatMap(({ metadata, spec }) => (spec.nodeName ? [[metadata.name, spec.nodeName]] : [])));
}

/** The primary address of each pod with the label `app`. */
export async function addressesOfPods(lab: Lab, app: string): Promise<readonly string[]> {
  return (await podsOf(lab, app)).flatMap(({ status }) => status.podIP ?? []);
}

/** Starts a Deployment's pods anew and all at once, so that the scheduler spreads them evenly over the nodes. */
export async function spread(lab: Lab, app: string, replicas: number): Promise<void> {
  await scale(lab, app, 0);
  await scale(lab, app, replicas);
}

/** Lets a Deployment's pods run on this node only, and waits until they do. Its old pods go as the new ones are ready. */
export async function moveTo(lab: Lab, app: string, node: string): Promise<void> {
  const nodeSelector = { 'kubernetes.io/hostname': node };
  await lab.request('PATCH', `/apis/apps/v1/namespaces/default/deployments/${app}`, {
    spec: { template: { spec: { nodeSelector } } },
  });
  await lab.waitForDeployment({ name: app });
  await untilOldPodsAreGone(lab, app);
}

export async function scale(lab: Lab, app: string, replicas: number): Promise<void> {
  await lab.request('PATCH', `/apis/apps/v1/namespaces/default/deployments/${app}`, { spec: { replicas } });
  await lab.waitForDeployment({ name: app });
  await untilOldPodsAreGone(lab, app);
}

/** Replaces all pods of a Deployment, the default way: new ones first. */
export async function restartPods(lab: Lab, app: string): Promise<void> {
  await lab.kubectl(['rollout', 'restart', `deployment/${app}`]);
  await lab.waitForDeployment({ name: app });
  await untilOldPodsAreGone(lab, app);
}

async function untilOldPodsAreGone(lab: Lab, app: string): Promise<void> {
  await waitFor({
    what: `the old pods of ${app} to be gone`,
    timeoutMs: 30_000,
    check: async () => {
      const { items } = await lab.request<PodList>('GET', `/api/v1/namespaces/default/pods?labelSelector=app%3D${app}`);
      return items.every(({ metadata }) => metadata.deletionTimestamp === undefined) ? true : undefined;
    },
  });
}

/** The sum of all series of a metric that have these labels; 0 when there is none. */
export async function metric(
  ballast: RunningBallast,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<number> {
  const lines = (await ballast.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`));
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const matching = lines.filter((line) => wanted.every((label) => line.includes(label)));
  return matching.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** The global addresses of a machine's `eth0`. */
export async function interfaceAddresses(machine: LabMachine): Promise<readonly string[]> {
  const { stdout } = await machine.exec(['ip', '-j', 'addr', 'show', 'dev', 'eth0', 'scope', 'global']);
  // Addresses of other scopes are listed too, as empty objects.
  const links: readonly { readonly addr_info?: readonly { readonly local?: string }[] }[] = JSON.parse(stdout);
  return links.flatMap(({ addr_info = [] }) => addr_info.flatMap(({ local }) => local ?? []));
}
