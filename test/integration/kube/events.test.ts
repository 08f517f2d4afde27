import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventRecorder } from '#src/kube/events';
import type { ObjectRef } from '#src/kube/eventseries';
import { registerKubeMetrics } from '#src/kube/metrics';
import { apiVersionOf, EVENTS, SERVICES } from '#src/kube/resources';
import { captureLog } from '#test/fakes/log';
import { startControlPlane, type ControlPlane } from '../../control-plane/control-plane.ts';
import { connect, type Connection } from './connection.ts';

const { signal } = new AbortController();
const namespace = 'default';
const SOURCE = 'ballast.dev/controller';

let plane: ControlPlane;
let kube: Connection;
let web: ObjectRef;

beforeAll(async () => {
  plane = await startControlPlane();
  kube = await connect(plane);
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: 'web' },
    spec: { ports: [{ port: 80 }] },
  };
  const { metadata } = await kube.client.create(SERVICES, service, { signal });
  web = { apiVersion: apiVersionOf(SERVICES), kind: SERVICES.kind, namespace, name: 'web', uid: metadata.uid };
});
afterAll(async () => {
  await kube.client.close();
  await plane.stop();
});

interface Line {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly source: string;
  readonly count: number | undefined;
}

/**
 * What `kubectl get events` shows of ours about the object, through the old API as people see it. The API server itself
 * may say something too: of the cluster IP of a Service that is made while it starts, for one.
 */
async function shown(name: string): Promise<Line[]> {
  const { code, stdout, stderr } = await plane.kubectl([
    'get',
    'events',
    `--field-selector=involvedObject.name=${name}`,
    '-o',
    'json',
  ]);
  if (code !== 0) throw new Error(stderr);
  const {
    items,
  }: { items: (Omit<Line, 'count' | 'source'> & { reportingComponent: string; series?: { count: number } })[] } =
    JSON.parse(stdout);
  const own = items.filter(({ reportingComponent }) => reportingComponent === SOURCE);
  return own.map(({ type, reason, message, reportingComponent, series }) => ({
    type,
    reason,
    message,
    source: reportingComponent,
    count: series?.count,
  }));
}

describe('the event recorder on a real API server', () => {
  it('writes what kubectl shows, once, with its count, and all of it before it ends', async () => {
    const captured = captureLog();
    const metrics = registerKubeMetrics(new Registry());
    const events = new EventRecorder({
      client: kube.client,
      log: captured.log,
      metrics,
      instance: 'test-pod',
      fence: () => {},
    });
    const stop = new AbortController();
    const running = events.run(stop.signal);
    const ensuring = { type: 'Normal', reason: 'EnsuringLoadBalancer', action: 'Ensure', note: 'Making it.' } as const;
    const failed = {
      type: 'Warning',
      reason: 'SyncLoadBalancerFailed',
      action: 'Ensure',
      note: 'ä'.repeat(2000),
    } as const;

    events.record(web, ensuring);
    await expect.poll(() => shown('web')).toHaveLength(1);
    events.record(web, ensuring);
    events.record(web, ensuring);
    events.record(web, failed);
    events.record({ apiVersion: 'v1', kind: 'Node', name: 'no-namespace', uid: 'u1' }, ensuring);
    stop.abort();
    await running;

    const lines = (await shown('web')).toSorted((a, b) => a.reason.localeCompare(b.reason));
    const source = SOURCE;
    expect(lines).toEqual([
      { type: 'Normal', reason: 'EnsuringLoadBalancer', message: 'Making it.', source, count: 3 },
      { type: 'Warning', reason: 'SyncLoadBalancerFailed', message: `${'ä'.repeat(510)}…`, source, count: undefined },
    ]);
    const all = await kube.client.list(EVENTS, { signal, namespace });
    expect(all.items?.filter(({ regarding }) => regarding?.kind === 'Node')).toMatchObject([
      { note: 'Making it.', reportingInstance: 'test-pod' },
    ]);
    expect(captured.lines.filter(({ level }) => level === 'warn')).toEqual([]);
  });

  it('goes on with a new Event when its own was deleted', async () => {
    const metrics = registerKubeMetrics(new Registry());
    const events = new EventRecorder({
      client: kube.client,
      log: captureLog().log,
      metrics,
      instance: 'test-pod',
      fence: () => {},
    });
    const stop = new AbortController();
    const running = events.run(stop.signal);
    const ref = { ...web, name: 'api', uid: 'u2' };
    const details = { type: 'Normal', reason: 'EnsuredLoadBalancer', action: 'Ensure', note: 'Ready.' } as const;
    events.record(ref, details);
    await expect.poll(() => shown('api')).toHaveLength(1);
    await plane.kubectl(['delete', 'events', '--all']);
    events.record(ref, details);
    await expect.poll(() => shown('api')).toMatchObject([{ reason: 'EnsuredLoadBalancer', count: 2 }]);
    stop.abort();
    await running;
  });
});
