/** What it takes to start on a large cluster where everything is as it should be. */
import { auditPosition, requestsSince, workOf, type AuditedRequest } from './audit.ts';
import type { Measure } from './measure.ts';
import { cpuSeconds, memory } from './process.ts';
import { count, type ScenarioContext } from './scenario.ts';
import { until } from './until.ts';

const SERVICES = 10_000;
/** Objects per page of a list. */
const PAGE = 500;

export async function start({ progress, share, largeCluster }: ScenarioContext): Promise<readonly Measure[]> {
  const services = Math.round(SERVICES * share);
  const cluster = await largeCluster();
  if (cluster.services < services) {
    progress(`start: ${count(services)} Services`);
    await cluster.startController();
    await cluster.growTo(services);
  }
  await cluster.stopController();
  progress('start: a controller on all of them');
  const position = await auditPosition(cluster.plane);
  await cluster.startController();
  const { pid, spawnedAt, ready } = cluster.controller;
  const synced = ((await ready) - spawnedAt) / 1000;
  await until('every status to be verified', async () => (await cluster.reconciles()) >= services, { everyMs: 100 });
  const verified = (performance.now() - spawnedAt) / 1000;
  const cpu = cpuSeconds(pid);
  await cluster.settle();
  const requests = await requestsSince(cluster.plane, position);
  const lists = requests.filter(({ verb }) => verb === 'list');
  const pages = [cluster.services + 1, cluster.nodes, 1].reduce((sum, objects) => sum + Math.ceil(objects / PAGE), 0);
  const writes = workOf(requests).filter(({ verb }) => verb !== 'list' && verb !== 'get');
  const at = `${count(services)} Services, ${count(cluster.nodes)} nodes:`;
  progress(`start: ${summaryOf(requests)}`);
  return [
    { figure: `${at} process start to synced`, unit: 's', value: synced },
    { figure: `${at} process start to every status verified`, unit: 's', value: verified },
    { figure: `${at} processor time until then`, unit: 's', value: cpu },
    { figure: `${at} highest resident memory`, unit: 'MB', value: memory(pid).peak, atMost: 350 },
    { figure: `${at} pages of lists`, unit: 'requests', value: lists.length, atMost: pages },
    { figure: `${at} all requests but those for the Lease`, unit: 'requests', value: withoutLease(requests) },
    { figure: `${at} writes`, unit: 'requests', value: writes.length, atMost: 0 },
  ];
}

function withoutLease(requests: readonly AuditedRequest[]): number {
  return requests.filter(({ resource }) => resource !== 'leases').length;
}

/** `21 list services, 10 list nodes, …`. */
function summaryOf(requests: readonly AuditedRequest[]): string {
  const kinds = Map.groupBy(requests, ({ verb, resource }) => `${verb} ${resource}`);
  return [...kinds].map(([kind, each]) => `${each.length} ${kind}`).join(', ');
}
