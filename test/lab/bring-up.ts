import { API_PORT, CONTROL_PLANE_HOST, controlPlaneAddress, familiesOf, insideServer } from './addresses.ts';
import { clearLab } from './clear.ts';
import { createClusterObjects } from './cluster-objects.ts';
import { type LabContext, openContext, relayServer } from './context.ts';
import { type ControlPlaneOptions, startApiServer, startControllers } from './control-plane.ts';
import { Credentials } from './credentials.ts';
import { LabDirectory } from './directory.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { claimLab } from './lab-claim.ts';
import { createMachine } from './machine.ts';
import { CONTROL_PLANE } from './names.ts';
import { createFabric, plugIn } from './network.ts';
import { bootNode, releaseNode, routeNodes } from './node-boot.ts';
import { kubeProxyKubeconfig, prepareNode } from './node-files.ts';
import { waitForNode } from './node-ready.ts';
import type { ResolvedOptions } from './options.ts';
import { provide } from './provide.ts';
import { startRelay } from './relay.ts';
import type { LabStore } from './state.ts';
import { together } from './together.ts';
import { waitFor } from './wait.ts';

const API_WITHIN_MS = 60_000;

/** Makes a whole lab, or, when something fails, nothing. */
export async function bringUp(options: ResolvedOptions): Promise<LabContext> {
  const provisions = await provide(options);
  const store = await claimLab(options, provisions);
  let context: LabContext | undefined;
  try {
    context = await openNetwork(options, store);
    await startCluster(options, context);
    await store.update(({ owner, ...state }) => ({
      ...state,
      phase: 'up',
      ...(owner && !options.detached && { owner }),
    }));
    return context;
  } catch (error) {
    await context?.api.close();
    await clearLab(options.name);
    throw error;
  }
}

/** Bridges, router, control plane's namespace, identities, and the relay that leads there. */
async function openNetwork(options: ResolvedOptions, store: LabStore): Promise<LabContext> {
  const { name, signal, progress } = options;
  const families = familiesOf(options.ipFamily);
  const directory = new LabDirectory(name);
  const credentials = new Credentials(directory, families);
  progress(`Lab ${name}: making the network and the certificates`);
  const wiring = { lab: name, families };
  await createFabric(wiring);
  await plugIn(wiring, { member: CONTROL_PLANE, network: 'nodes', host: CONTROL_PLANE_HOST });
  const { adminToken } = await credentials.create();
  await credentials.kubeconfigFor('system:kube-proxy', kubeProxyKubeconfig({ directory }));
  const target = { host: controlPlaneAddress(families), port: API_PORT };
  const relay = await startRelay({ lab: name, target, logFile: directory.log('relay'), signal });
  await store.addProcess({ name: 'relay', process: relay.process });
  await store.update((state) => ({ ...state, adminToken, relayPort: relay.port }));
  const authority = credentials.authority.certificate;
  const user = { token: adminToken };
  await writeKubeconfig(directory.kubeconfig, { server: relayServer(relay.port), authority, user });
  await writeKubeconfig(directory.inside, { server: insideServer(families), authority, user });
  return openContext(store);
}

/** Control plane and nodes start side by side; kubelets and controllers wait for the API server. */
async function startCluster(options: ResolvedOptions, context: LabContext): Promise<void> {
  const { name, families, directory, binary, credentials, store } = context;
  const { nodeMonitorGracePeriodSeconds, progress, signal } = options;
  const parts: ControlPlaneOptions = { lab: name, families, directory, binary, nodeMonitorGracePeriodSeconds };
  const started = (part: string, process: { readonly pid: number; readonly start: string }): Promise<void> =>
    store.addProcess({ name: part, process });
  progress(`Lab ${name}: starting the control plane and ${options.nodes} node${options.nodes === 1 ? '' : 's'}`);
  await startApiServer(parts, credentials, started);
  const indexes = Array.from({ length: options.nodes }, (_, index) => index + 1);
  await together(signal, [
    async (either) => {
      await waitForApiServer(context, either);
      await startControllers(parts, credentials, started);
      await createClusterObjects(context.api, families, either);
    },
    async (either) => {
      for (const machine of options.machines) await createMachine(context, machine);
      const booted = await together(
        either,
        indexes.map((index) => async () => bootNode(context, await prepareNode(context, index))),
      );
      await routeNodes(context);
      await waitForApiServer(context, either);
      await together(
        either,
        booted.map((node) => async (any) => {
          await releaseNode(context, node.name);
          await waitForNode(context, node, any);
        }),
      );
    },
  ]);
}

async function waitForApiServer({ api, directory }: LabContext, signal: AbortSignal): Promise<void> {
  await waitFor({
    what: 'the API server to be ready',
    timeoutMs: API_WITHIN_MS,
    signal,
    log: directory.log('kube-apiserver'),
    check: async () =>
      (await api.text('GET', '/readyz', undefined, { timeoutMs: 1_000, signal })) === 'ok' || undefined,
  });
}
