/** Whether cost grows as the work: what one change asks of the API server in clusters of 100, 1,000 and 10,000 Services. */
import { auditPosition, requestsSince, workOf } from './audit.ts';
import type { GrownCluster } from './grown-cluster.ts';
import type { Measure } from './measure.ts';
import { count, type ScenarioContext } from './scenario.ts';
import { createOneByOne, deleteServices, namesOf } from './services-driver.ts';

const SIZES = [100, 1_000, 10_000];

interface Cost {
  readonly requests: number;
  readonly reconciles: number;
}

export async function scale({ progress, share, largeCluster }: ScenarioContext): Promise<readonly Measure[]> {
  const cluster = await largeCluster();
  await cluster.startController();
  const measures: Measure[] = [];
  for (const size of SIZES.map((each) => Math.round(each * share))) {
    progress(`scale: ${count(size)} Services`);
    await cluster.growTo(size);
    measures.push(...(await changes(cluster, size)));
  }
  return measures;
}

/** Each kind of change, made once. */
async function changes(cluster: GrownCluster, size: number): Promise<readonly Measure[]> {
  const { driver, watch } = cluster;
  const names = namesOf(`one-of-${size}`, 1);
  const service = `/api/v1/namespaces/default/services/${names[0]}`;
  const created = await costOf(cluster, () => createOneByOne(driver, watch, names));
  const spec = { ports: [{ port: 81, targetPort: 8080, protocol: 'TCP' }] };
  const changed = await costOf(cluster, () => driver.send('PATCH', service, { spec }));
  const touched = await costOf(cluster, () => driver.send('PATCH', service, { metadata: { labels: { a: 'b' } } }));
  const deleted = await costOf(cluster, () => deleteServices(driver, watch, names));
  const joined = await costOf(cluster, () => cluster.addNodes(1));
  const at = `at ${count(size)} Services:`;
  return [
    // The finalizer, the address and the conditions in one write, and two Events.
    { figure: `${at} a Service is created`, unit: 'requests', value: created.requests, atMost: 3 },
    { figure: `${at} its port is changed`, unit: 'requests', value: changed.requests, atMost: 2 },
    { figure: `${at} its labels are changed`, unit: 'requests', value: touched.requests, atMost: 0 },
    { figure: `${at} it is deleted`, unit: 'requests', value: deleted.requests, atMost: 3 },
    { figure: `${at} a node comes`, unit: 'requests', value: joined.requests, atMost: 0 },
    {
      figure: `${at} a Service is created, load balancers looked at`,
      unit: 'reconciles',
      value: created.reconciles,
      atMost: 3,
    },
    {
      figure: `${at} a node comes, load balancers looked at`,
      unit: 'reconciles',
      value: joined.reconciles,
      atMost: size,
    },
  ];
}

async function costOf(cluster: GrownCluster, change: () => Promise<unknown>): Promise<Cost> {
  const before = await cluster.reconciles();
  const position = await auditPosition(cluster.plane);
  await change();
  await cluster.settle();
  const requests = workOf(await requestsSince(cluster.plane, position)).length;
  return { requests, reconciles: (await cluster.reconciles()) - before };
}
