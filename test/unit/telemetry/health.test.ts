import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { Counter, Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import type { Check } from '#src/telemetry/checks';
import { HealthServer } from '#src/telemetry/health';
import { captureLog, type CapturedLog } from '#test/fakes/log';

let stop: AbortController;
let registry: Registry;
let captured: CapturedLog;
let server: HealthServer;
let running: Promise<void>;
let url: string;
let live: Check[];
let ready: Check[];

beforeEach(async () => {
  stop = new AbortController();
  registry = new Registry();
  captured = captureLog();
  live = [];
  ready = [];
  server = new HealthServer({
    port: 0,
    registry,
    log: captured.log,
    live: () => live,
    ready: () => ready,
    answerTimeoutMs: 200,
  });
  running = server.start(stop.signal);
  const { host, port } = await server.listening;
  url = `http://${host}:${port}`;
});

afterEach(async () => {
  stop.abort();
  await running;
});

/** Sends raw bytes and gives what comes back until the server closes. */
async function raw(bytes: string): Promise<string> {
  const { host, port } = await server.listening;
  const socket = connect(port, host);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  socket.on('error', () => {});
  socket.write(bytes);
  await once(socket, 'close');
  return answer;
}

describe('/metrics', () => {
  it('gives the registry in its own format', async () => {
    new Counter({ name: 'things_total', help: 'Things', registers: [registry] }).inc(3);
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toBe(registry.contentType);
    expect(await response.text()).toContain('things_total 3');
  });

  it('answers 500 and goes on when a metric cannot be collected', async () => {
    void new Counter({
      name: 'broken_total',
      help: 'x',
      registers: [registry],
      collect() {
        throw new Error('cannot collect');
      },
    });
    const response = await fetch(`${url}/metrics`);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('cannot collect');
    expect(captured.lines).toContainEqual(
      expect.objectContaining({ level: 'error', error: expect.objectContaining({ message: 'cannot collect' }) }),
    );
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});

describe('/healthz and /readyz', () => {
  it('say ok, and list the checks when asked', async () => {
    ready = [{ name: 'stores', check: () => true }];
    expect(await (await fetch(`${url}/readyz`)).text()).toBe('ok\n');
    expect(await (await fetch(`${url}/readyz?verbose`)).text()).toBe('[+]stores ok\nreadyz check passed\n');
    expect(await (await fetch(`${url}/healthz?verbose`)).text()).toBe('healthz check passed\n');
  });

  it('fail on their own checks, with 503 for readiness and 500 for health', async () => {
    ready = [{ name: 'stores', check: () => 'services not synced' }];
    const notReady = await fetch(`${url}/readyz`);
    expect(notReady.status).toBe(503);
    expect(await notReady.text()).toBe('[-]stores failed: services not synced\nreadyz check failed\n');
    expect((await fetch(`${url}/healthz`)).status).toBe(200);

    live = [{ name: 'loop', check: () => false }];
    expect((await fetch(`${url}/healthz`)).status).toBe(500);
  });

  it('follow the checks as they change', async () => {
    ready = [{ name: 'stores', check: () => false }];
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    ready = [{ name: 'stores', check: () => true }];
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });
});

describe('JSON routes', () => {
  it('answer with the value, given the query', async () => {
    server.route('/api/plan', async (query) => ({ service: query.get('svc'), steps: [] }));
    const response = await fetch(`${url}/api/plan?svc=default%2Fweb`);
    expect(response.headers.get('content-type')).toContain('application/json');
    expect(await response.json()).toEqual({ service: 'default/web', steps: [] });
  });

  it.each([
    [new BallastError('InvalidAnnotation', 'bad', { field: 'x' }), 400, { code: 'InvalidAnnotation', field: 'x' }],
    [new BallastError('ApiNotFound', 'gone'), 404, { code: 'ApiNotFound' }],
    [new BallastError('ApiUnavailable', 'away'), 503, { code: 'ApiUnavailable', message: 'away' }],
    [new TypeError('x is undefined'), 500, { code: 'Bug' }],
  ])('answer %s with a JSON error and without its stack', async (error, status, expected) => {
    server.route('/api/plan', async () => {
      throw error;
    });
    const response = await fetch(`${url}/api/plan`);
    const text = await response.text();
    expect(response.status).toBe(status);
    expect(JSON.parse(text).error).toMatchObject({ ...expected, remedy: expect.any(String) });
    expect(text).not.toContain('health.test.ts');
  });

  it('log a bug with its stack', async () => {
    server.route('/api/plan', async () => {
      throw new TypeError('x is undefined');
    });
    await fetch(`${url}/api/plan`);
    const line = captured.lines.find(({ level }) => level === 'error');
    expect(line).toMatchObject({ error: { code: 'Bug', cause: { stack: expect.stringContaining('health.test.ts') } } });
  });

  it('abort and answer 503 when they take too long, whether they listen to the signal or not', async () => {
    let aborted = false;
    server.route('/api/slow', (_query, signal) => {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      return new Promise(() => {});
    });
    const response = await fetch(`${url}/api/slow`);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: 'Timeout' } });
    expect(aborted).toBe(true);
  });

  it('are aborted when the asker leaves', async () => {
    const left = Promise.withResolvers<void>();
    server.route('/api/slow', (_query, signal) => {
      signal.addEventListener('abort', () => left.resolve());
      return new Promise(() => {});
    });
    const asker = new AbortController();
    const asking = fetch(`${url}/api/slow`, { signal: asker.signal }).catch(() => 'left');
    await pause(20);
    asker.abort();
    expect(await asking).toBe('left');
    await left.promise;
  });

  it('cannot take a path twice', () => {
    expect(() => server.route('/metrics', async () => 1)).toThrow('the route /metrics exists already');
  });
});

describe('what is refused', () => {
  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s, because only GET and HEAD are served', async (method) => {
    const response = await fetch(`${url}/metrics`, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
  });

  it('HEAD is served, without a body', async () => {
    const response = await fetch(`${url}/healthz`, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe('3');
    expect(await response.text()).toBe('');
  });

  it('other paths, saying which there are', async () => {
    const response = await fetch(`${url}/admin`);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('/metrics, /healthz, /readyz');
  });

  it('a body', async () => {
    const answer = await raw('GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });

  it('headers and addresses beyond 8 KiB', async () => {
    const long = 'x'.repeat(9000);
    expect(await raw(`GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: ${long}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /);
    expect(await raw(`GET /${long} HTTP/1.1\r\nhost: x\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /);
  });

  it('what is no HTTP', async () => {
    expect(await raw('hello\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});

describe('start', () => {
  it('listens on the loopback address unless told otherwise', async () => {
    expect((await server.listening).host).toBe('127.0.0.1');
    expect(captured.lines).toContainEqual(expect.objectContaining({ msg: 'serving metrics and health' }));
  });

  it('says which address and port are taken and which flag changes them', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const address = holder.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const second = new HealthServer({ port, registry, log: captured.log });
    const failure: unknown = await second.start(stop.signal).catch((error: unknown) => error);
    holder.close();
    expect(failure).toMatchObject({ code: 'ListenFailed', field: '--metrics-bind-address' });
    expect(String(failure)).toContain(`127.0.0.1 port ${port}: another process holds the port`);
    expect(String(failure)).toContain('--metrics-bind-address');
    await expect(second.listening).rejects.toBe(failure);
  });

  it('says what is wrong with an address that this machine does not have', async () => {
    const second = new HealthServer({ host: '192.0.2.1', port: 0, registry, log: captured.log });
    await expect(second.start(stop.signal)).rejects.toThrow(
      /192\.0\.2\.1 port 0: .*EADDRNOTAVAIL.*--metrics-bind-address/,
    );
  });

  it('ends by its signal: open connections close and the port is free', async () => {
    const { host, port } = await server.listening;
    const idle = connect(port, host);
    await once(idle, 'connect');
    const slow = new Promise<void>((resolve) => {
      server.route('/api/slow', () => {
        resolve();
        return new Promise(() => {});
      });
    });
    const asking = fetch(`${url}/api/slow`).then((response) => response.status);
    await slow;
    stop.abort();
    expect(await asking).toBe(503);
    await Promise.all([running, once(idle, 'close')]);
    const again = createServer().listen(port, host);
    await once(again, 'listening');
    again.close();
  });
});
