/**
 * `npm run demo`: a cluster of real nodes, Ballast as pods in it, and a Service that gets an address.
 *
 *   npm run demo               stays up until Ctrl-C
 *   npm run demo -- --once     ends by itself, with exit code 0 when every step worked
 */
import { parseArgs } from 'node:util';
import { Lab } from '../lab/lab.ts';
import { failure, heading, line, success } from './say.ts';
import { runStory } from './story.ts';

const HELP = `npm run demo [-- options]

  --once          end after the last step, with nothing left running
  --nodes N       nodes of the cluster (default 3, at least 2)
  --help          this text
`;

/** A name of its own, so that it stands beside a lab that somebody is working in. */
const LAB_NAME = 'demo';

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      nodes: { type: 'string', default: '3' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const nodes = Number(values.nodes);
  if (!Number.isInteger(nodes) || nodes < 2)
    throw new Error(`--nodes must be a whole number from 2 on, not ${values.nodes}`);

  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => interrupted.abort(new Error(`stopped by ${signal}`)));
  }
  const startedAt = performance.now();
  heading(`A cluster of ${nodes} real nodes: each a network namespace with containerd, kubelet and kube-proxy`);
  const lab = await Lab.up({
    name: LAB_NAME,
    nodes,
    machines: [{ name: 'client' }],
    progress: (text) => line(`  ${text}`),
    replace: true,
    signal: interrupted.signal,
  });
  try {
    await runStory(lab, interrupted.signal);
    success(`All steps worked, in ${Math.round((performance.now() - startedAt) / 1000)} s`);
    if (!values.once) await stayUp(lab, interrupted.signal);
  } finally {
    line('Taking everything down …');
    await lab.down();
  }
  return 0;
}

async function stayUp(lab: Lab, signal: AbortSignal): Promise<void> {
  heading('Now try it yourself; Ctrl-C takes everything down');
  for (const text of [
    `export KUBECONFIG=${lab.kubeconfigPath}`,
    'kubectl get svc,pods,nodes -o wide',
    'kubectl get pods -n ballast-system -o wide',
    'kubectl describe svc web',
    'kubectl exec -n ballast-system deploy/ballast-controller -- ballast explain svc/web -n default',
    `npm run lab -- exec --name ${lab.name} client -- curl -s http://ADDRESS/hostname`,
    `npm run lab -- status --name ${lab.name}`,
  ]) {
    line(`  ${text}`);
  }
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

try {
  process.exitCode = await main();
} catch (error) {
  failure(`The demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
