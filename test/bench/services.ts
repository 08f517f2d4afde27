/**
 * How fast Services get an address, and what that costs: the work that MetalLB was measured by, with Ballast, with a
 * client that does nothing but write (the API server's own limit), and with MetalLB where there is one, one after the
 * other on the same control plane.
 */
import { startControlPlane, type ControlPlane } from '#test/control-plane/control-plane';
import { Driver } from './driver.ts';
import { percentile, type Beside, type Measure } from './measure.ts';
import { cpuSeconds, memory } from './process.ts';
import { ServiceWatch, createOneByOne, createServices, deleteServices, latencies, namesOf } from './services-driver.ts';
import { IDEAL, ballast, type RunningSubject, type Subject } from './subject.ts';
import { count, type ScenarioContext } from './scenario.ts';

const COUNT = 2_000;
/** One that takes seconds for each would take minutes for all. */
const ONE_BY_ONE = 50;
const ONE_BY_ONE_OF_PEER = 10;

/** What one subject needed; times in seconds, or milliseconds where the name says so. */
interface Outcome {
  readonly createSeconds: number;
  readonly waitSeconds: number;
  readonly liveCreateSeconds: number;
  readonly liveMs: readonly number[];
  readonly restartReadySeconds: number;
  readonly rssMegabytes: number;
  readonly peakMegabytes: number;
  readonly cpuSeconds: number;
  readonly deleteSeconds: number;
  readonly oneByOneMs: readonly number[];
}

export async function services({ progress, peer, nodeFlags, share }: ScenarioContext): Promise<readonly Measure[]> {
  await using plane = await startControlPlane({ progress });
  const many = Math.round(COUNT * share);
  const ours = ballast({ nodeFlags });
  const outcomes = new Map<string, Outcome>();
  for (const subject of [ours, IDEAL, ...(peer ? [peer] : [])]) {
    await subject.prepare?.(plane);
    const oneByOne = subject === peer ? ONE_BY_ONE_OF_PEER : ONE_BY_ONE;
    outcomes.set(subject.name, await measure(subject, plane, { many, oneByOne }, progress));
  }
  return measures(outcomes, ours.name, many);
}

async function measure(
  subject: Subject,
  plane: ControlPlane,
  { many, oneByOne }: { readonly many: number; readonly oneByOne: number },
  progress: (line: string) => void,
): Promise<Outcome> {
  const driver = new Driver(plane);
  const watch = await ServiceWatch.start(driver);
  const say = (text: string): void => progress(`services: ${subject.name}: ${text}`);
  const batch = subject.name.toLowerCase().replaceAll(' ', '-');
  let running: RunningSubject | undefined;
  try {
    say(`${count(many)} Services that wait for it`);
    const waiting = namesOf(`${batch}-waiting`, many);
    const { seconds: createSeconds } = await createServices(driver, waiting);
    running = await subject.start(plane);
    await watch.untilAddressed(waiting);
    const last = Math.max(...waiting.map((name) => watch.addressedAt.get(name) ?? 0));
    const waitSeconds = (last - running.spawnedAt) / 1000;

    say(`${count(many)} more while it runs`);
    const live = namesOf(`${batch}-live`, many);
    const { seconds: liveCreateSeconds, askedAt } = await createServices(driver, live);
    await watch.untilAddressed(live);
    const liveMs = latencies(watch, askedAt);
    const { now: rssMegabytes, peak: peakMegabytes } = memory(running.pid);
    const cpu = cpuSeconds(running.pid);

    say('a restart with all of them there');
    await running.stop();
    running = await subject.start(plane);
    const restartReadySeconds = ((await running.ready) ?? Number.NaN) - running.spawnedAt;

    say('the deletion of half of them, and some more one by one');
    const deleteSeconds = await deleteServices(driver, watch, live);
    const single = namesOf(`${batch}-single`, oneByOne);
    const oneByOneMs = await createOneByOne(driver, watch, single);
    await running.stop();
    running = undefined;
    await forceDelete(driver, watch, [...waiting, ...single]);
    return {
      createSeconds,
      waitSeconds,
      liveCreateSeconds,
      liveMs,
      restartReadySeconds: restartReadySeconds / 1000,
      rssMegabytes,
      peakMegabytes,
      cpuSeconds: cpu,
      deleteSeconds,
      oneByOneMs,
    };
  } finally {
    await running?.stop();
    watch[Symbol.dispose]();
    await driver.close();
  }
}

/** Nobody is there to take the finalizers off. */
async function forceDelete(driver: Driver, watch: ServiceWatch, names: readonly string[]): Promise<void> {
  await driver.each(names.length, (index) =>
    driver.send('PATCH', `/api/v1/namespaces/default/services/${names[index]}`, { metadata: { finalizers: null } }),
  );
  await deleteServices(driver, watch, names);
}

function measures(outcomes: ReadonlyMap<string, Outcome>, own: string, many: number): readonly Measure[] {
  const ours = outcomes.get(own);
  if (!ours) throw new Error(`nothing was measured of ${own}`);
  const others = [...outcomes].filter(([name]) => name !== own);
  const measureOf = (
    figure: string,
    unit: Measure['unit'],
    of: (outcome: Outcome) => number,
    atMost?: number,
  ): Measure => {
    const beside: readonly Beside[] = others
      .map(([who, outcome]) => ({ who, value: of(outcome) }))
      .filter(({ value }) => Number.isFinite(value));
    return { figure, unit, value: of(ours), beside, ...(atMost !== undefined && { atMost }) };
  };
  return [
    measureOf(`${count(many)} created without a controller`, 's', ({ createSeconds }) => createSeconds),
    measureOf(`${count(many)} waiting: process start to last address`, 's', ({ waitSeconds }) => waitSeconds, 3),
    measureOf(`${count(many)} created live: time of the creation`, 's', ({ liveCreateSeconds }) => liveCreateSeconds),
    measureOf(
      `${count(many)} created live: create to address, p50`,
      'ms',
      ({ liveMs }) => percentile(liveMs, 0.5),
      100,
    ),
    measureOf(
      `${count(many)} created live: create to address, p99`,
      'ms',
      ({ liveMs }) => percentile(liveMs, 0.99),
      500,
    ),
    measureOf(`${count(2 * many)} Services: resident memory`, 'MB', ({ rssMegabytes }) => rssMegabytes, 130),
    measureOf(`${count(2 * many)} Services: highest resident memory`, 'MB', ({ peakMegabytes }) => peakMegabytes),
    measureOf(`${count(2 * many)} Services given addresses: processor time`, 's', ({ cpuSeconds: cpu }) => cpu),
    measureOf(
      `restart at ${count(2 * many)} Services: process start to ready`,
      's',
      (each) => each.restartReadySeconds,
      1,
    ),
    measureOf(`${count(many)} deleted: until all are gone`, 's', ({ deleteSeconds }) => deleteSeconds),
    measureOf('one by one after that: create to address, p50', 'ms', ({ oneByOneMs }) => percentile(oneByOneMs, 0.5)),
    measureOf('one by one after that: create to address, p99', 'ms', (each) => percentile(each.oneByOneMs, 0.99), 100),
  ];
}
