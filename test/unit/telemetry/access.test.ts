/** Who gets what from the metrics server. */
import { describe, expect, it } from 'vitest';
import { asksFromHere, bearerToken, type Asker, type Authorize, type Verdict } from '#src/telemetry/authorization';
import type { ListenAddress } from '#src/telemetry/httpserver';
import { rawAnswer, serveMetrics } from './metrics-server.ts';

const PATHS = ['/healthz', '/readyz', '/metrics', '/api/plan'] as const;

/** The status of a GET, by the raw protocol: fetch does not let one choose the Host header. */
async function statusOf(address: ListenAddress, path: string, headers: readonly string[] = []): Promise<number> {
  const lines = [`GET ${path} HTTP/1.1`, 'connection: close', ...headers];
  const host = headers.some((header) => /^host:/i.test(header)) ? [] : [`host: ${address.host}:${address.port}`];
  const answer = await rawAnswer(address, `${[...lines, ...host].join('\r\n')}\r\n\r\n`);
  return Number(/^HTTP\/1.1 (\d+) /.exec(answer)?.[1]);
}

const statuses = async (address: ListenAddress, headers: readonly string[] = []): Promise<readonly number[]> =>
  Promise.all(PATHS.map((path) => statusOf(address, path, headers)));

describe('without authentication', () => {
  it('everybody on this machine gets everything', async () => {
    const { address } = await serveMetrics();
    expect(await statuses(address)).toEqual([200, 200, 200, 200]);
    expect(await statuses(address, ['host: localhost:10270'])).toEqual([200, 200, 200, 200]);
  });

  it('a page in a browser of this machine does not get what tells about the cluster (DNS rebinding)', async () => {
    const { address } = await serveMetrics();
    expect(await statuses(address, ['host: rebound.example.com:10270'])).toEqual([200, 200, 200, 403]);
    expect(await statusOf(address, '/api/plan', ['host: 127.0.0.1.example.com'])).toBe(403);
  });

  const asker = (remoteAddress: string, localAddress: string, host = '192.0.2.1:10270'): Asker => ({
    socket: { remoteAddress, localAddress },
    headers: { host },
  });
  it.each([
    ['loopback', asker('127.0.0.1', '127.0.0.1', 'localhost:1'), true],
    ['another loopback address', asker('127.8.9.1', '127.0.0.1'), true],
    ['loopback of a socket of both families', asker('::ffff:127.0.0.1', '::ffff:127.0.0.1'), true],
    ['loopback of IPv6', asker('::1', '::1', '[::1]:10270'), true],
    ['the pod itself, by its address', asker('10.0.0.5', '10.0.0.5'), true],
    ['the pod itself, by its IPv6 address', asker('fd00::5', 'fd00::5', '[fd00::5]:10270'), true],
    ['another pod', asker('10.0.0.6', '10.0.0.5'), false],
    ['another pod of an IPv6 cluster', asker('fd00::6', 'fd00::5'), false],
    ['somebody whose connection is gone', { socket: {}, headers: {} }, false],
    ['somebody here who asks for a name', asker('127.0.0.1', '127.0.0.1', 'evil.example'), false],
    ['somebody here who asks for no name', asker('127.0.0.1', '127.0.0.1', ''), false],
  ])('%s asks from here, or not', (_, request, expected) => {
    expect(asksFromHere(request)).toBe(expected);
  });
});

describe('with authentication', () => {
  const asked: (readonly [token: string, path: string])[] = [];
  const answering =
    (verdict: Verdict): Authorize =>
    async (token, path) => {
      asked.push([token, path]);
      return verdict;
    };

  it('only the checks are open, also on this machine', async () => {
    const { address } = await serveMetrics({ authorize: answering({ kind: 'allowed' }) });
    expect(await statuses(address)).toEqual([200, 200, 401, 401]);
    expect(asked).toEqual([]);
  });

  it('who brings a good token gets everything, and each path is asked about', async () => {
    const { address } = await serveMetrics({ authorize: answering({ kind: 'allowed' }) });
    expect(await statuses(address, ['authorization: Bearer abc.def'])).toEqual([200, 200, 200, 200]);
    expect(asked).toHaveLength(2);
    expect(asked).toEqual(
      expect.arrayContaining([
        ['abc.def', '/ballast/api/plan'],
        ['abc.def', '/metrics'],
      ]),
    );
  });

  it.each<[Verdict, number]>([
    [{ kind: 'unauthenticated' }, 401],
    [{ kind: 'forbidden', user: 'jane' }, 403],
    [{ kind: 'unavailable', why: 'ApiUnavailable' }, 503],
    [{ kind: 'busy', retryAfterSeconds: 1 }, 429],
  ])('%o lets nobody in', async (verdict, status) => {
    const { address } = await serveMetrics({ authorize: answering(verdict) });
    expect(await statuses(address, ['authorization: Bearer abc'])).toEqual([200, 200, status, status]);
  });

  it('a check that fails by itself lets nobody in', async () => {
    const authorize: Authorize = () => Promise.reject(new Error('broken'));
    const { address } = await serveMetrics({ authorize });
    expect(await statuses(address, ['authorization: Bearer abc'])).toEqual([200, 200, 500, 500]);
  });

  it('says what is lacking', async () => {
    const { address } = await serveMetrics({ authorize: answering({ kind: 'forbidden', user: 'jane' }) });
    const url = `http://${address.host}:${address.port}/metrics`;
    expect((await fetch(url)).headers.get('www-authenticate')).toBe('Bearer');
    const response = await fetch(url, { headers: { authorization: 'Bearer abc' } });
    expect(await response.text()).toBe('jane may not get this\n');
  });

  it.each([
    [undefined, undefined],
    ['', undefined],
    ['Basic dXNlcjpwYXNz', undefined],
    ['Bearer', undefined],
    ['Bearer ', undefined],
    ['Bearer a b', undefined],
    ['Bearer a,b', undefined],
    ['bearer a.b-c_d~e+f/g==', 'a.b-c_d~e+f/g=='],
    ['Bearer   abc', 'abc'],
  ])('reads %j as the token %j', (authorization, token) => {
    expect(bearerToken({ headers: { authorization } })).toBe(token);
  });
});
