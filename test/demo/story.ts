/** What the demo shows, step by step, on a lab that is up. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  applyEdge,
  BALLAST_NAMESPACE,
  ballastPods,
  labelEdgeNodes,
  leadingPod,
  loadBallastImage,
} from '../lab/ballast-pods.ts';
import type { Lab } from '../lab/lab.ts';
import { NETEXEC_PORTS } from '../lab/lab.ts';
import { askUdp, describeLoad, fetchOnce, Load, urlHost } from '../lab/traffic.ts';
import { waitFor } from '../lab/wait.ts';
import { command, heading, line, output, success } from './say.ts';

const APP = 'web';
const PORTS = { http: 80, https: 443, udp: 53 } as const;

/** Runs all steps; the first that fails rejects with what was expected and what was seen. */
export async function runStory(lab: Lab, signal: AbortSignal): Promise<void> {
  try {
    await step('Ballast, as two pods on the edge nodes: one works, the other waits', () => installBallast(lab, signal));
    await step('Three pods, spread over the nodes', async () => {
      await lab.deployNetexec({ name: APP, replicas: 3, https: true, shutdownDelaySeconds: 2, signal });
      await kubectl(lab, ['get', 'pods', '-o', 'wide']);
    });
    const address = await step('A Service of type LoadBalancer goes from <pending> to an address', () =>
      exposeApp(lab, signal),
    );
    await step('The address answers from pods on several nodes, over HTTP, HTTPS and UDP', () =>
      askUntilSpread(lab, address, signal),
    );
    await step('Pods scale 3 → 5 → 1 under load', () => scaleUnderLoad(lab, address, signal));
    await step('A node is cut off from the network under load; requests go on', () => cutNodeOff(lab, address, signal));
    await step('Why it works, in Ballast’s own words', async () => {
      const events = ['get', 'events', '--field-selector', `involvedObject.name=${APP},involvedObject.kind=Service`];
      await kubectl(lab, [...events, '-o', 'custom-columns=REASON:.reason,MESSAGE:.message']);
      const conditions = '{range .status.conditions[*]}{.type}={.status} {.message}{"\\n"}{end}';
      await kubectl(lab, ['get', 'svc', APP, '-o', `jsonpath=${conditions}`]);
    });
  } catch (error) {
    for (const { metadata } of await ballastPods(lab)) {
      line(`The end of the log of ${metadata.name}:`);
      const logs = ['logs', '-n', BALLAST_NAMESPACE, metadata.name, '--tail=15'];
      output((await lab.kubectl(logs, { check: false })).stdout);
    }
    throw error;
  }
}

async function step<T>(title: string, run: () => Promise<T>): Promise<T> {
  heading(title);
  return run();
}

async function kubectl(lab: Lab, args: readonly string[]): Promise<string> {
  command(`kubectl ${args.join(' ')}`);
  const { stdout } = await lab.kubectl(args);
  output(stdout);
  return stdout;
}

/** Gives the nodes the image, and makes the first two of them those that have the addresses of load balancers. */
async function installBallast(lab: Lab, signal: AbortSignal): Promise<void> {
  command('npm run image');
  const { digest, size } = await loadBallastImage(lab);
  output(`${digest}, ${Math.round(size.packed / 2 ** 20)} MiB; given to the nodes' containerd`);
  const edge = lab.nodes.slice(0, 2).map(({ name }) => name);
  command(`kubectl label node ${edge.join(' ')} node-role.kubernetes.io/edge=`);
  await labelEdgeNodes(lab, edge);
  command('kubectl apply -k manifests/edge   # with the addresses of this network in ballast.yaml');
  await applyEdge(lab, { signal });
  const { spec } = await leadingPod(lab, signal);
  await kubectl(lab, ['get', 'pods', '-n', BALLAST_NAMESPACE, '-o', 'wide']);
  success(`The pod on ${spec.nodeName} leads`);
}

function serviceObject(): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: APP },
    spec: {
      type: 'LoadBalancer',
      loadBalancerClass: 'ballast.dev/proxy',
      selector: { app: APP },
      ports: [
        { name: 'http', port: PORTS.http, targetPort: NETEXEC_PORTS.http },
        { name: 'https', port: PORTS.https, targetPort: NETEXEC_PORTS.https },
        { name: 'udp', port: PORTS.udp, protocol: 'UDP', targetPort: NETEXEC_PORTS.udp },
      ],
    },
  };
}

interface ServiceView {
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string }[] } };
}

/** Creates the Service while a watch looks on, so that both states are seen; returns its address. */
async function exposeApp(lab: Lab, signal: AbortSignal): Promise<string> {
  command('kubectl get svc web --watch &');
  command('kubectl apply -f web-service.yaml');
  const watch = lab.kubectl(
    ['get', 'svc', '--field-selector', `metadata.name=${APP}`, '--watch', '--request-timeout=4s'],
    {
      check: false,
      timeoutMs: 30_000,
    },
  );
  await delay(500, undefined, { signal });
  await lab.request('POST', '/api/v1/namespaces/default/services', serviceObject());
  const address = await waitFor({
    what: 'the Service to have an EXTERNAL-IP',
    timeoutMs: 20_000,
    signal,
    check: async () => {
      const service = await lab.request<ServiceView>('GET', `/api/v1/namespaces/default/services/${APP}`);
      return service.status?.loadBalancer?.ingress?.[0]?.ip;
    },
  });
  output((await watch).stdout);
  success(`EXTERNAL-IP ${address}`);
  return address;
}

/** Asks from the client until pods on at least two nodes have answered, and once over each other protocol. */
async function askUntilSpread(lab: Lab, address: string, signal: AbortSignal): Promise<void> {
  const client = lab.machine('client');
  const nodeOf = await nodesOfPods(lab);
  const seen = new Set<string>();
  const host = urlHost(address);
  await waitFor({
    what: 'pods on two nodes to answer',
    timeoutMs: 30_000,
    signal,
    check: async () => {
      const pod = await fetchOnce(client, `http://${host}/hostname`);
      const node = nodeOf.get(pod);
      if (node === undefined) throw new Error(`an unknown pod answered: ${pod}`);
      if (!seen.has(node)) {
        command(`curl http://${host}/hostname`);
        output(`${pod}  (on ${node})`);
      }
      seen.add(node);
      return seen.size >= 2 ? true : undefined;
    },
  });
  command(`curl --insecure https://${host}/hostname`);
  output(await fetchOnce(client, `https://${host}/hostname`));
  command(`echo hostname | nc --udp ${address} ${PORTS.udp}`);
  output(
    await waitFor({
      what: 'an answer over UDP',
      timeoutMs: 10_000,
      signal,
      check: () => askUdp(client, { host: address, port: PORTS.udp }),
    }),
  );
  success(`Pods on ${[...seen].toSorted().join(' and ')} answered`);
}

async function scaleUnderLoad(lab: Lab, address: string, signal: AbortSignal): Promise<void> {
  const load = await Load.start(lab.machine('client'), { url: `http://${urlHost(address)}/hostname`, rate: 50 });
  for (const replicas of [5, 1]) {
    await kubectl(lab, ['scale', 'deployment', APP, `--replicas=${replicas}`]);
    await lab.waitForDeployment({ name: APP, signal });
    // Long enough for traffic to reach the new pods, and for the old ones to be gone.
    await delay(3_000, undefined, { signal });
  }
  const summary = await load.finish();
  line(`  ${describeLoad(summary)}; ${Object.keys(summary.bodies).length} pods answered`);
  if (summary.succeeded < summary.sent * 0.99)
    throw new Error('more than 1 % of the requests failed while pods scaled');
  success('Scaled without an outage');
}

async function cutNodeOff(lab: Lab, address: string, signal: AbortSignal): Promise<void> {
  await lab.kubectl(['scale', 'deployment', APP, '--replicas=3']);
  await lab.waitForDeployment({ name: APP, signal });
  const client = lab.machine('client');
  // With Cluster policy, healthy nodes would still forward to the pod on the dead one until the cluster has noticed;
  // Local policy takes the node and its pods out together.
  await kubectl(lab, [
    'patch',
    'service',
    APP,
    '--type=merge',
    '--patch',
    '{"spec":{"externalTrafficPolicy":"Local"}}',
  ]);
  await delay(4_000, undefined, { signal });
  // Where the leader's own node goes, the other replica has to wait for its Lease to run out first: another story.
  const leader = (await leadingPod(lab, signal)).spec.nodeName;
  const victim = [...(await nodesOfPods(lab)).values()].find((node) => node !== leader);
  if (victim === undefined) throw new Error(`all pods are on ${leader}`);
  const load = await Load.start(client, { url: `http://${urlHost(address)}/hostname`, rate: 50 });
  await delay(2_000, undefined, { signal });
  line(`  cutting ${victim} off …`);
  await lab.node(victim).cutOff();
  await delay(8_000, undefined, { signal });
  const summary = await load.finish();
  await lab.node(victim).heal();
  line(`  ${describeLoad(summary)}`);
  if (summary.succeeded < summary.sent * 0.9)
    throw new Error('more than 10 % of the requests failed with a node cut off');
  if (summary.longestGapMs > 3_000) throw new Error(`nobody answered for ${summary.longestGapMs} ms`);
  success(`Requests went on without ${victim}, which is connected again now`);
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly nodeName?: string };
  }[];
}

async function nodesOfPods(lab: Lab): Promise<ReadonlyMap<string, string>> {
  const pods = await lab.request<PodList>('GET', `/api/v1/namespaces/default/pods?labelSelector=app%3D${APP}`);
  return new Map(pods.items.flatMap(({ metadata, spec }) => (spec.nodeName ? [[metadata.name, spec.nodeName]] : [])));
}
