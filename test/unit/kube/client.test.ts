import nock from 'nock';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import type { Credentials } from '#src/kube/access';
import { KubeClient } from '#src/kube/client';
import { registerKubeMetrics } from '#src/kube/metrics';
import { LEASES, NODES, SERVICES } from '#src/kube/resources';
import { node, service } from '#test/fakes/builders';
import { accessTo, createClient, Loopback, refuse, reply } from './loopback.ts';

const { signal } = new AbortController();

describe('what goes over the wire', () => {
  const server = 'https://api.example.test:6443/prefix';
  const access = accessTo(server, { authorization: 'Bearer t0ken', 'impersonate-user': 'jane' });
  const client = new KubeClient({ access, metrics: registerKubeMetrics(new Registry()), version: '1.2.3' });
  const wire = (): nock.Scope => nock('https://api.example.test:6443');

  afterEach(() => nock.cleanAll());

  it('is JSON with the credentials and our name', async () => {
    const scope = nock('https://api.example.test:6443', {
      reqheaders: {
        authorization: 'Bearer t0ken',
        'impersonate-user': 'jane',
        'user-agent': 'ballast/1.2.3',
        accept: 'application/json',
      },
    });
    scope.get('/prefix/api/v1/namespaces/shop/services/web').reply(200, service());
    expect(await client.get(SERVICES, { namespace: 'shop', name: 'web' }, { signal })).toEqual(service());
  });

  it('asks for a page of a list with what is wanted of it', async () => {
    const query = { labelSelector: 'a in (b,c)', limit: '500', continue: 'tok/en==' };
    const page = { items: [node()], metadata: { resourceVersion: '5', continue: 'more' } };
    wire().get('/prefix/api/v1/nodes').query(query).reply(200, page);
    expect(await client.list(NODES, { ...query, limit: 500, signal })).toEqual(page);
  });

  it('creates in the namespace of the object', async () => {
    const lease = { metadata: { namespace: 'kube-system', name: 'ballast' }, spec: { leaseTransitions: 0 } };
    wire().post('/prefix/apis/coordination.k8s.io/v1/namespaces/kube-system/leases', lease).reply(201, lease);
    expect(await client.create(LEASES, lease, { signal })).toEqual(lease);
  });

  it('replaces an object with the one given', async () => {
    const web = service();
    wire()
      .put('/prefix/api/v1/namespaces/default/services/web', JSON.parse(JSON.stringify(web)))
      .reply(200, web);
    expect(await client.update(SERVICES, web, { signal })).toEqual(web);
  });

  it('patches by merge patch, on the subresource when asked', async () => {
    const patch = { metadata: { finalizers: null }, status: { loadBalancer: {} } };
    const headers = { reqheaders: { 'content-type': 'application/merge-patch+json' } };
    nock('https://api.example.test:6443', headers)
      .patch('/prefix/api/v1/namespaces/default/services/web/status', patch)
      .reply(200, service());
    const name = { namespace: 'default', name: 'web' };
    expect(await client.patch(SERVICES, name, patch, { signal, subresource: 'status' })).toEqual(service());
  });

  it('deletes exactly the object that is meant', async () => {
    const preconditions = { uid: 'u1' };
    const scope = wire().delete('/prefix/api/v1/namespaces/default/services/web', { preconditions }).reply(200, {});
    await client.delete(SERVICES, { namespace: 'default', name: 'web' }, { signal, uid: 'u1' });
    expect(scope.isDone()).toBe(true);
  });

  it('turns a refusal into an error with a code', async () => {
    wire()
      .get('/prefix/api/v1/nodes/n1')
      .reply(429, { kind: 'Status', code: 429, reason: 'TooManyRequests' }, { 'retry-after': '4' });
    await expect(client.get(NODES, { name: 'n1' }, { signal })).rejects.toMatchObject({
      code: 'ApiThrottled',
      retryAfterMs: 4_000,
      reason: 'TooManyRequests',
    });
  });
});

describe('connections', () => {
  it('are shared by all requests', async () => {
    await using server = await Loopback.start((_, response) => reply(response, 200, {}));
    await using kube = createClient(server, { connections: 2 });
    const requests = Array.from({ length: 30 }, (_, i) => kube.client.get(NODES, { name: `n${i}` }, { signal }));
    await Promise.all(requests);
    expect(server.connections).toBe(2);
  });

  it('are made anew when the TLS material changes, and those before run dry', async () => {
    let answer = (): void => {};
    await using server = await Loopback.start(({ path }, response) => {
      if (path.endsWith('/slow')) answer = () => reply(response, 200, { slow: true });
      else reply(response, 200, {});
    });
    let credentials: Credentials = { headers: {}, tls: { ca: 'first' } };
    const access = { ...accessTo(server.url), credentials: async () => credentials };
    await using kube = createClient(server, { access, connections: 1 });
    const slow = kube.client.get(NODES, { name: 'slow' }, { signal });
    await server.until(() => server.requests.length === 1);
    credentials = { headers: {}, tls: { ca: Buffer.from('second') } };
    await kube.client.get(NODES, { name: 'a' }, { signal });
    credentials = { headers: {}, tls: { ca: 'second' } };
    await kube.client.get(NODES, { name: 'b' }, { signal });
    expect(server.connections).toBe(2);
    answer();
    expect(await slow).toEqual({ slow: true });
    await server.until(() => server.sockets.size === 1);
  });

  it('go through the proxy of the kubeconfig', async () => {
    await using proxy = await Loopback.start((_, response) => reply(response, 200, { via: 'proxy' }));
    const access = { ...accessTo('http://api.example.test'), proxyUrl: proxy.url };
    await using kube = createClient(proxy, { access });
    expect(await kube.client.get(NODES, { name: 'a' }, { signal })).toEqual({ via: 'proxy' });
    expect(proxy.requests).toMatchObject([{ path: '/api/v1/nodes/a', headers: { host: 'api.example.test' } }]);
  });

  it('carry the credentials of the moment', async () => {
    await using server = await Loopback.start((_, response) => reply(response, 200, {}));
    let count = 0;
    const credentials = async (): Promise<Credentials> => {
      count += 1;
      return { headers: { authorization: `Bearer ${count}` }, tls: {} };
    };
    await using kube = createClient(server, { access: { ...accessTo(server.url), credentials } });
    await kube.client.get(NODES, { name: 'a' }, { signal });
    await kube.client.get(NODES, { name: 'a' }, { signal });
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer 1', 'Bearer 2']);
  });

  it('tell who gives the credentials when they were refused, and of no other refusal', async () => {
    await using server = await Loopback.start((request, response) =>
      refuse(response, request.path.endsWith('/unknown') ? 401 : 403, 'no'),
    );
    let refusals = 0;
    const access = { ...accessTo(server.url), refused: () => (refusals += 1) };
    await using kube = createClient(server, { access });
    const ask = (name: string): Promise<unknown> => kube.client.get(NODES, { name }, { signal });
    await expect(ask('forbidden')).rejects.toMatchObject({ code: 'ApiForbidden' });
    expect(refusals).toBe(0);
    await expect(ask('unknown')).rejects.toMatchObject({ code: 'ApiForbidden' });
    expect(refusals).toBe(1);
  });

  it('are gone after close, and nothing is sent any more', async () => {
    await using server = await Loopback.start(() => {});
    await using kube = createClient(server);
    const hanging = kube.client.get(NODES, { name: 'a' }, { signal });
    const seen = hanging.catch((error: unknown) => error);
    await server.until(() => server.requests.length === 1);
    await kube.client.close();
    expect(await seen).toMatchObject({ code: 'ApiUnavailable' });
    await server.until(() => server.sockets.size === 0);
    await expect(kube.client.get(NODES, { name: 'a' }, { signal })).rejects.toMatchObject({
      code: 'ApiUnavailable',
      message: expect.stringContaining('closed'),
    });
  });
});

describe('a request', () => {
  it('ends when no answer comes in time', async () => {
    await using server = await Loopback.start(() => {});
    await using kube = createClient(server, { requestTimeoutMs: 60 });
    const request = kube.client.get(NODES, { name: 'a' }, { signal });
    await expect(request).rejects.toMatchObject({
      code: 'ApiUnavailable',
      message: `GET ${server.url}/api/v1/nodes/a: no answer within 60 ms`,
    });
    await server.until(() => server.sockets.size === 0);
  });

  it('ends when the answer begins but does not go on', async () => {
    await using server = await Loopback.start((_, response) => response.writeHead(200).write('{"meta'));
    await using kube = createClient(server);
    const request = kube.client.get(NODES, { name: 'a' }, { signal, timeoutMs: 60 });
    await expect(request).rejects.toMatchObject({ code: 'ApiUnavailable' });
  });

  it('ends when the credentials do not come in time', async () => {
    await using server = await Loopback.start(() => {});
    const access = { ...accessTo(server.url), credentials: () => new Promise<Credentials>(() => {}) };
    await using kube = createClient(server, { access, requestTimeoutMs: 40 });
    await expect(kube.client.get(NODES, { name: 'a' }, { signal })).rejects.toMatchObject({ code: 'ApiUnavailable' });
    expect(server.requests).toEqual([]);
  });

  it("ends with the caller's reason when the caller gives up", async () => {
    await using server = await Loopback.start(() => {});
    await using kube = createClient(server);
    const caller = new AbortController();
    const request = kube.client.get(NODES, { name: 'a' }, { signal: caller.signal });
    const seen = request.catch((error: unknown) => error);
    await server.until(() => server.requests.length === 1);
    const reason = new Error('shutting down');
    caller.abort(reason);
    expect(await seen).toBe(reason);
  });

  it.each([
    ['nobody listens', (): string => 'http://127.0.0.1:1', 'ECONNREFUSED'],
    ['several addresses refuse', (): string => 'http://localhost:1', 'ECONNREFUSED'],
  ])('says why when %s', async (_, url, why) => {
    const metrics = registerKubeMetrics(new Registry());
    const client = new KubeClient({ access: accessTo(url()), metrics, version: '1' });
    await expect(client.get(NODES, { name: 'a' }, { signal })).rejects.toMatchObject({
      code: 'ApiUnavailable',
      message: expect.stringContaining(why),
    });
  });

  it('fails when the connection breaks off in the answer', async () => {
    await using server = await Loopback.start((_, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"a":');
      setTimeout(() => response.destroy(), 5);
    });
    await using kube = createClient(server);
    await expect(kube.client.get(NODES, { name: 'a' }, { signal })).rejects.toMatchObject({ code: 'ApiUnavailable' });
  });

  it('fails when the answer is no JSON', async () => {
    await using server = await Loopback.start((_, response) => response.end('<html>please log in</html>'));
    await using kube = createClient(server);
    await expect(kube.client.get(NODES, { name: 'a' }, { signal })).rejects.toMatchObject({ code: 'ApiUnavailable' });
  });

  it('does not follow a redirect, which would carry the token elsewhere', async () => {
    await using server = await Loopback.start((_, response) => {
      response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
    });
    await using kube = createClient(server);
    await expect(kube.client.get(NODES, { name: 'a' }, { signal })).rejects.toMatchObject({
      code: 'ApiUnavailable',
      httpStatus: 302,
    });
  });

  it('is counted by its outcome', async () => {
    await using server = await Loopback.start(({ path }, response) => {
      if (path.endsWith('/a')) reply(response, 200, {});
      else if (path.endsWith('/b')) refuse(response, 404, 'NotFound');
      else response.destroy();
    });
    await using kube = createClient(server);
    for (const name of ['a', 'b', 'c']) await kube.client.get(NODES, { name }, { signal }).catch(() => {});
    const { values } = await kube.metrics.requests.get();
    const { host } = new URL(server.url);
    expect(values.map(({ labels, value }) => [labels, value])).toEqual([
      [{ code: '200', host, method: 'GET' }, 1],
      [{ code: '404', host, method: 'GET' }, 1],
      [{ code: '<error>', host, method: 'GET' }, 1],
    ]);
    expect(await kube.registry.metrics()).toContain(
      `rest_client_request_duration_seconds_count{host="${host}",verb="GET"} 3`,
    );
  });
});
