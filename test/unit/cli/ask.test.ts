import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { askController, controllerUrl } from '#src/cli/inquiry/ask';
import { EXPLAIN_ANSWER } from '#src/cli/inquiry/wire';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** The URL of a server that answers everything with this. */
async function serve(status: number, body: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<number>();
  server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body);
  }).listen(0, '127.0.0.1', () => {
    const address = server?.address();
    resolve(typeof address === 'object' && address ? address.port : 0);
  });
  return `http://127.0.0.1:${await promise}/api/explain`;
}

describe('asking the controller', () => {
  it('gives its answer', async () => {
    const answer = { cluster: 'u-1', explanation: { service: 'a/b', decisions: [] } };
    expect(await askController(await serve(200, JSON.stringify(answer)), EXPLAIN_ANSWER)).toEqual({
      kind: 'answer',
      answer,
    });
  });

  it('throws what it says about the question', async () => {
    const body = JSON.stringify({ error: { code: 'ApiNotFound', message: 'There is no Service a/b.' } });
    await expect(askController(await serve(404, body), EXPLAIN_ANSWER)).rejects.toMatchObject({
      code: 'ApiNotFound',
      message: 'There is no Service a/b.',
    });
  });

  it('says why there is no answer: a replica that only follows', async () => {
    const body = JSON.stringify({ error: { code: 'NotLeader', message: 'This replica only follows.' } });
    expect(await askController(await serve(503, body), EXPLAIN_ANSWER)).toEqual({
      kind: 'none',
      why: 'it says: This replica only follows.',
    });
  });

  it('says why there is no answer: somebody else has the port', async () => {
    const url = await serve(200, '{"hello":"world"}');
    const why = 'what answers there is no controller of this version';
    expect(await askController(url, EXPLAIN_ANSWER)).toEqual({ kind: 'none', why });
  });

  it('says why there is no answer: no JSON, or nobody there', async () => {
    const url = await serve(200, '<html>');
    expect(await askController(url, EXPLAIN_ANSWER)).toMatchObject({
      kind: 'none',
      why: expect.stringContaining('does not answer'),
    });
    server?.closeAllConnections();
    const { promise, resolve } = Promise.withResolvers<void>();
    server?.close(() => resolve());
    await promise;
    const asked = await askController(url, EXPLAIN_ANSWER);
    expect(asked).toMatchObject({ kind: 'none', why: expect.stringContaining('ECONNREFUSED') });
  });
});

describe('the address of the controller', () => {
  it('follows from where it serves', () => {
    expect(controllerUrl({ host: '127.0.0.1', port: 10_270 })).toBe('http://127.0.0.1:10270');
    expect(controllerUrl({ host: 'fd00::1', port: 10_270 })).toBe('http://[fd00::1]:10270');
    expect(controllerUrl({ host: undefined, port: 10_270 })).toBe('http://127.0.0.1:10270');
    expect(controllerUrl(undefined)).toBeUndefined();
  });
});
