/** What a cluster of 5,000 nodes costs the controller of 2,000 Services while its nodes live their lives. */
import { setTimeout as delay } from 'node:timers/promises';
import { auditPosition, requestsSince, workOf } from './audit.ts';
import { GrownCluster } from './grown-cluster.ts';
import { median, type Measure } from './measure.ts';
import { HEARTBEAT_SECONDS, heartbeat } from './nodes.ts';
import { cpuSeconds, memory } from './process.ts';
import { count, type ScenarioContext } from './scenario.ts';
import { until } from './until.ts';

const NODES = 5_000;
const SERVICES = 2_000;
const ADDITIONS = 3;
const BURST = 50;
/** Nodes that come within a tenth of a second count as one change; all of them come within a few. */
const LOOKS_AT_MOST = 5;
const HEARTBEATS_FOR_SECONDS = 30;

interface Addition {
  readonly cpuSeconds: number;
  readonly reconciles: number;
}

export async function churn(context: ScenarioContext): Promise<readonly Measure[]> {
  const nodes = Math.round(NODES * context.share);
  const services = Math.round(SERVICES * context.share);
  const say = (text: string): void => context.progress(`churn: ${text}`);
  await using cluster = await GrownCluster.start(context);
  say(`${count(nodes)} nodes`);
  await cluster.addNodes(nodes);
  say(`${count(services)} Services`);
  await cluster.startController();
  await cluster.growTo(services);

  say('heartbeats');
  const { pid } = cluster.controller;
  const perSecond = nodes / HEARTBEAT_SECONDS;
  const idle = await cpuShare(pid, () => delay(10_000));
  const beating = await cpuShare(pid, () => beat(cluster, nodes, perSecond));

  say('nodes that come');
  const position = await auditPosition(cluster.plane);
  const additions: Addition[] = [];
  for (let turn = 0; turn < ADDITIONS; turn++) additions.push(await addNodes(cluster, 1));
  const burst = await addNodes(cluster, BURST);
  const written = workOf(await requestsSince(cluster.plane, position)).length;
  const { now, peak } = memory(pid);
  const where = `${count(nodes)} nodes, ${count(services)} Services`;
  return [
    {
      figure: `${where}: one node comes, processor time`,
      unit: 's',
      value: median(additions.map((each) => each.cpuSeconds)),
      atMost: 1,
    },
    {
      figure: `${where}: one node comes, load balancers looked at`,
      unit: 'reconciles',
      value: median(additions.map(({ reconciles }) => reconciles)),
      atMost: services,
    },
    { figure: `${where}: ${BURST} nodes come at once, processor time`, unit: 's', value: burst.cpuSeconds },
    {
      figure: `${where}: ${BURST} nodes come at once, load balancers looked at`,
      unit: 'reconciles',
      value: burst.reconciles,
      atMost: LOOKS_AT_MOST * services,
    },
    { figure: `${where}: nodes come, requests to the API server`, unit: 'requests', value: written, atMost: 0 },
    {
      figure: `${where}: heartbeats (${Math.round(perSecond * 10) / 10}/s), share of one processor`,
      unit: '%',
      value: beating * 100,
      atMost: 5,
      beside: [{ who: 'without heartbeats', value: idle * 100 }],
    },
    { figure: `${where}: resident memory`, unit: 'MB', value: now, atMost: 256 },
    { figure: `${where}: highest resident memory`, unit: 'MB', value: peak },
  ];
}

/** Seconds of processor time per second, while something goes on. */
async function cpuShare(pid: number, during: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  const before = cpuSeconds(pid);
  await during();
  return (cpuSeconds(pid) - before) / ((performance.now() - startedAt) / 1000);
}

/** Every node tells of itself in its turn, evenly over time. */
async function beat({ driver }: GrownCluster, nodes: number, perSecond: number): Promise<void> {
  const startedAt = performance.now();
  for (let sent = 0; sent < perSecond * HEARTBEATS_FOR_SECONDS; sent++) {
    await delay(Math.max(0, startedAt + (sent * 1000) / perSecond - performance.now()));
    await heartbeat(driver, sent % nodes);
  }
}

/** What it costs until every load balancer has been looked at, and nothing follows any more. */
async function addNodes(cluster: GrownCluster, more: number): Promise<Addition> {
  const { pid } = cluster.controller;
  await cluster.settle();
  const reconciles = await cluster.reconciles();
  const cpu = cpuSeconds(pid);
  await cluster.addNodes(more);
  await until(
    'the load balancers to be looked at',
    async () => (await cluster.reconciles()) >= reconciles + cluster.services,
    {
      everyMs: 500,
    },
  );
  // Reading the processor time before the long wait for what may follow keeps that wait out of it.
  let spent = cpuSeconds(pid) - cpu;
  const seen = await cluster.reconciles();
  await cluster.settle();
  if ((await cluster.reconciles()) > seen) spent = cpuSeconds(pid) - cpu;
  return { cpuSeconds: spent, reconciles: (await cluster.reconciles()) - reconciles };
}
