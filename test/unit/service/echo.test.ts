import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { service, servicePort } from '#test/fakes/builders';
import type { Service } from '#src/kube/wire';
import { Echo } from '#src/service/echo';
import { registerServiceMetrics } from '#src/service/metrics';
import type { ServicePatch } from '#src/service/ports';
import { Writes } from '#src/service/writes';

const before = service();
const finalizing: ServicePatch = { metadata: { finalizers: ['ballast.dev/proxy'] } };
const publishing: ServicePatch = {
  status: {
    loadBalancer: { ingress: [{ ip: '192.0.2.1', ipMode: 'VIP' }] },
    conditions: [{ type: 'ballast.dev/Ready', status: 'True', reason: 'X', message: 'Y', lastTransitionTime: 'now' }],
  },
};
const held: Service = {
  ...before,
  metadata: { ...before.metadata, resourceVersion: '2', finalizers: ['ballast.dev/proxy'] },
};
const published: Service = {
  ...held,
  metadata: { ...held.metadata, resourceVersion: '3' },
  status: {
    loadBalancer: { ingress: [{ ip: '192.0.2.1', ipMode: 'VIP' }] },
    conditions: publishing.status!.conditions ?? [],
  },
};

function written(): Echo {
  const echo = new Echo();
  echo.expect(before, finalizing);
  echo.expect(held, publishing);
  return echo;
}

function update(previous: Service, object: Service): { type: 'updated'; previous: Service; object: Service } {
  return { type: 'updated', previous, object };
}

describe('Echo', () => {
  it('knows our own writes, one after the other or together', () => {
    const echo = written();
    expect(echo.isOwn(update(before, held))).toBe(true);
    expect(echo.isOwn(update(held, published))).toBe(true);
    expect(written().isOwn(update(before, published))).toBe(true);
  });

  it('remembers nothing of a Service that was gone before the write came', async () => {
    const echo = new Echo();
    const writes = new Writes({
      provider: 'proxy',
      writer: {
        patch: async (object, compute) => {
          compute(object);
          return { kind: 'gone' };
        },
      },
      fence: () => {},
      echo,
      metrics: registerServiceMetrics(new Registry()),
    });
    const { signal } = new AbortController();
    const outcome = await writes.send({ purpose: 'prepare', service: before, compute: () => finalizing, signal });
    expect(outcome.kind).toBe('gone');
    expect(echo.isOwn(update(before, held))).toBe(false);
  });

  it('does not take a return to an earlier state for ours', () => {
    const echo = written();
    expect(echo.isOwn(update(held, published))).toBe(true);
    expect(echo.isOwn(update(published, held))).toBe(false);
    expect(echo.isOwn(update(published, before))).toBe(false);
  });

  it('takes each write for ours once: the way back to it is somebody else’s', () => {
    const echo = written();
    const moved = service({ spec: { ports: [servicePort({ nodePort: 30_999 })] } });
    const foreign: Service = { ...moved, metadata: published.metadata, status: published.status ?? {} };
    expect(echo.isOwn(update(held, published))).toBe(true);
    expect(echo.isOwn(update(published, foreign))).toBe(false);
    expect(echo.isOwn(update(foreign, published))).toBe(false);
  });

  it('forgets what it expects once somebody else has written', () => {
    const echo = written();
    const foreign = { ...held, metadata: { ...held.metadata, finalizers: [] } };
    const annotated = { ...held, metadata: { ...held.metadata, annotations: { a: 'b' } } };
    expect(echo.isOwn(update(held, annotated))).toBe(false);
    expect(echo.isOwn(update(foreign, held))).toBe(false);
  });

  it('takes no notice of a label, however long ago the last write was', () => {
    const echo = written();
    expect(echo.isOwn(update(held, published))).toBe(true);
    const labelled = { ...published, metadata: { ...published.metadata, labels: { a: 'b' } } };
    expect(echo.isOwn(update(published, labelled))).toBe(true);
    expect(echo.isOwn(update(labelled, published))).toBe(true);
  });

  it.each<[string, (each: Service) => Service]>([
    ['spec', (each) => ({ ...each, spec: { ...each.spec, sessionAffinity: 'ClientIP' } })],
    ['ports', (each) => ({ ...each, spec: { ...each.spec, ports: [servicePort({ nodePort: 30_999 })] } })],
    ['annotations', (each) => ({ ...each, metadata: { ...each.metadata, annotations: { a: 'b' } } })],
    ['deletion', (each) => ({ ...each, metadata: { ...each.metadata, deletionTimestamp: 'now' } })],
    ['finalizers', (each) => ({ ...each, metadata: { ...each.metadata, finalizers: [] } })],
    ['address', (each) => ({ ...each, status: { ...each.status, loadBalancer: {} } })],
    ['conditions', (each) => ({ ...each, status: { ...each.status, conditions: [] } })],
  ])('sees somebody else’s change that came with ours: %s', (_, change) => {
    expect(written().isOwn(update(before, change(published)))).toBe(false);
  });

  it('takes no notice of labels and of conditions that are not ours', () => {
    const foreign = { type: 'example.com/X', status: 'True', reason: 'X', message: '', lastTransitionTime: 'now' };
    const labelled: Service = {
      ...published,
      metadata: { ...published.metadata, labels: { a: 'b' } },
      status: { ...published.status, conditions: [...(published.status?.conditions ?? []), foreign] },
    };
    expect(written().isOwn(update(published, labelled))).toBe(true);
  });

  it('knows NodePorts that we filled in', () => {
    const echo = new Echo();
    const holed = service({ spec: { ports: [servicePort({ nodePort: 0 })] } });
    const ports = [servicePort({ nodePort: 30_100 })];
    echo.expect(holed, { spec: { ports } });
    expect(echo.isOwn(update(holed, { ...holed, spec: { ...holed.spec, ports } }))).toBe(true);
  });

  it('never takes an addition or a deletion for ours, and forgets the dead', () => {
    const echo = written();
    expect(echo.isOwn({ type: 'added', object: published })).toBe(false);
    expect(echo.isOwn({ type: 'deleted', object: published })).toBe(false);
    expect(echo.isOwn(update(held, published))).toBe(false);
  });
});
