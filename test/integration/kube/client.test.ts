import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isAlreadyExists, isConflict, isNotFound } from '#src/kube/apierror';
import { loadKubeConfig } from '#src/kube/config';
import { patchWithRetry } from '#src/kube/patch';
import { SERVICES } from '#src/kube/resources';
import type { Service } from '#src/kube/wire';
import { startControlPlane, type ControlPlane } from '../../control-plane/control-plane.ts';
import { connect, type Connection } from './connection.ts';

const { signal } = new AbortController();
const namespace = 'default';

let plane: ControlPlane;
let kube: Connection;
let created = 0;
let web: Service;

function draft(name: string): Parameters<typeof create>[0] {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
  };
}

function create(
  service: Omit<Service, 'metadata'> & { metadata: { namespace: string; name: string } },
): Promise<Service> {
  return kube.client.create(SERVICES, service, { signal });
}

beforeAll(async () => {
  plane = await startControlPlane();
  kube = await connect(plane);
});
afterAll(async () => {
  await kube.client.close();
  await plane.stop();
});
beforeEach(async () => {
  web = await create(draft(`web-${(created += 1)}`));
});

describe('the client on a real API server', () => {
  it('verifies its certificate and is who its token says', async () => {
    const objects = await kube.client.list(SERVICES, { signal });
    expect(objects.items?.map(({ metadata }) => metadata.name)).toContain('kubernetes');
    const access = await loadKubeConfig({ path: plane.kubeconfigPath });
    const noCa = { ...access, credentials: async () => ({ ...(await access.credentials()), tls: {} }) };
    await using untrusting = await connect(plane, { access: noCa });
    await expect(untrusting.client.list(SERVICES, { signal })).rejects.toMatchObject({
      code: 'ApiUnavailable',
      message: expect.stringContaining('certificate'),
    });
    const wrong = { headers: { authorization: 'Bearer wrong' }, tls: (await access.credentials()).tls };
    await using nobody = await connect(plane, { access: { ...access, credentials: async () => wrong } });
    await expect(nobody.client.list(SERVICES, { signal })).rejects.toMatchObject({
      code: 'ApiForbidden',
      httpStatus: 401,
    });
  });

  it('tells a taken name, a lost race, a missing object and an invalid one apart', async () => {
    const { name } = web.metadata;
    const failure = (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => 'no error',
        (error) => error,
      );
    expect(isAlreadyExists(await failure(create(draft(name))))).toBe(true);
    const stale = { metadata: { resourceVersion: '1', labels: { a: 'b' } } };
    expect(isConflict(await failure(kube.client.patch(SERVICES, { namespace, name }, stale, { signal })))).toBe(true);
    expect(isNotFound(await failure(kube.client.get(SERVICES, { namespace, name: 'none' }, { signal })))).toBe(true);
    const invalid = { spec: { ports: [{ port: 99_999 }] } };
    expect(await failure(kube.client.patch(SERVICES, { namespace, name }, invalid, { signal }))).toMatchObject({
      code: 'ApiInvalid',
      field: 'spec.ports[0].port',
    });
    const other = { namespace, name, uid: 'another' };
    expect(await failure(kube.client.delete(SERVICES, other, { signal, uid: 'another' }))).toMatchObject({
      code: 'ApiConflict',
    });
    await kube.client.delete(SERVICES, { namespace, name }, { signal, uid: web.metadata.uid });
    expect(isNotFound(await failure(kube.client.get(SERVICES, { namespace, name }, { signal })))).toBe(true);
  });

  it('puts finalizers, annotations, address and conditions into one patch of the status', async () => {
    const compute = ({ metadata }: Service): Record<string, unknown> => ({
      metadata: {
        finalizers: [...(metadata.finalizers ?? []), 'ballast.dev/bare-metal'],
        annotations: { 'ballast.dev/pool': 'lab' },
      },
      status: {
        loadBalancer: { ingress: [{ ip: '192.0.2.10', ipMode: 'VIP' }] },
        conditions: [
          {
            type: 'ballast.dev/Ready',
            status: 'True',
            reason: 'Announced',
            message: 'ok',
            lastTransitionTime: '2026-01-01T00:00:00Z',
          },
        ],
      },
    });
    const before = web.metadata.resourceVersion;
    const request = { client: kube.client, resource: SERVICES, known: web, compute, signal };
    const outcome = await patchWithRetry({ ...request, subresource: 'status' });
    expect(outcome.kind).toBe('patched');
    const after = await kube.client.get(SERVICES, { namespace, name: web.metadata.name }, { signal });
    expect(after.metadata).toMatchObject({
      finalizers: ['ballast.dev/bare-metal'],
      annotations: { 'ballast.dev/pool': 'lab' },
    });
    expect(after.status).toMatchObject({
      loadBalancer: { ingress: [{ ip: '192.0.2.10', ipMode: 'VIP' }] },
      conditions: [{ type: 'ballast.dev/Ready', status: 'True' }],
    });
    expect(after.metadata.resourceVersion).not.toBe(before);
    expect(after.spec).toEqual(web.spec);
  });

  it('loses nothing of what another writes meanwhile', async () => {
    const { name } = web.metadata;
    let calls = 0;
    const outcome = await patchWithRetry({
      client: kube.client,
      resource: SERVICES,
      known: web,
      signal,
      compute: ({ metadata: { finalizers = [] } }) => {
        calls += 1;
        return { metadata: { finalizers: [...finalizers, 'ballast.dev/ours'] } };
      },
    });
    expect([outcome.kind, calls]).toEqual(['patched', 1]);
    // What we know is old now, and somebody else adds theirs.
    const current = await kube.client.get(SERVICES, { namespace, name }, { signal });
    const theirs = { metadata: { finalizers: [...(current.metadata.finalizers ?? []), 'example.com/theirs'] } };
    await kube.client.patch(SERVICES, { namespace, name }, theirs, { signal });
    const removed = await patchWithRetry({
      client: kube.client,
      resource: SERVICES,
      known: current,
      signal,
      compute: ({ metadata: { finalizers = [] } }) => ({
        metadata: { finalizers: finalizers.filter((each) => each !== 'ballast.dev/ours') },
      }),
    });
    expect(removed).toMatchObject({ kind: 'patched', object: { metadata: { finalizers: ['example.com/theirs'] } } });
  });

  it('never patches an object that was made again under the same name', async () => {
    const { name } = web.metadata;
    await kube.client.delete(SERVICES, { namespace, name }, { signal });
    const again = await create(draft(name));
    const compute = (): Record<string, unknown> => ({ metadata: { labels: { touched: 'yes' } } });
    const request = { client: kube.client, resource: SERVICES, known: web, compute, signal };
    expect(await patchWithRetry(request)).toEqual({ kind: 'gone' });
    expect(await patchWithRetry({ ...request, subresource: 'status' })).toEqual({ kind: 'gone' });
    expect(await kube.client.get(SERVICES, { namespace, name }, { signal })).toEqual(again);
    await kube.client.delete(SERVICES, { namespace, name }, { signal });
    expect(await patchWithRetry(request)).toEqual({ kind: 'gone' });
  });
});
