import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { askController, controllerUrl } from '#src/cli/inquiry/ask';
import { EXPLAIN_ANSWER } from '#src/cli/inquiry/wire';
import { temporaryFolder } from '../control-plane/temporary-folder.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** The URL of a server that answers everything with this. */
async function serve(
  status: number,
  body: string,
  see: (request: IncomingMessage) => void = () => {},
): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<number>();
  server = createServer((request, response) => {
    see(request);
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
      why: 'what answers there is no controller: it says 200 "<html>"',
    });
    server?.closeAllConnections();
    const { promise, resolve } = Promise.withResolvers<void>();
    server?.close(() => resolve());
    await promise;
    const asked = await askController(url, EXPLAIN_ANSWER);
    expect(asked).toMatchObject({ kind: 'none', why: expect.stringContaining('ECONNREFUSED') });
  });
});

describe('a controller that asks who one is', () => {
  it('is given the token of the file', async () => {
    const tokens: (string | undefined)[] = [];
    const answer = { explanation: { service: 'a/b', decisions: [] } };
    const url = await serve(200, JSON.stringify(answer), ({ headers }) => void tokens.push(headers.authorization));
    const tokenFile = join(temporaryFolder(), 'token');
    await writeFile(tokenFile, 'abc.def\n');
    expect(await askController(url, EXPLAIN_ANSWER, { tokenFile })).toMatchObject({ kind: 'answer' });
    expect(await askController(url, EXPLAIN_ANSWER)).toMatchObject({ kind: 'answer' });
    expect(tokens).toEqual(['Bearer abc.def', undefined]);
  });

  it('never gets it in the clear, except on this machine', async () => {
    const tokenFile = join(temporaryFolder(), 'token');
    await writeFile(tokenFile, 'abc.def');
    const asked = askController('http://192.0.2.1:10270/api/plan', EXPLAIN_ANSWER, { tokenFile });
    await expect(asked).rejects.toMatchObject({
      code: 'InvalidConfig',
      message: 'The token would be sent in the clear to 192.0.2.1:10270; use an https:// URL.',
    });
  });

  it('is asked in vain without one, which the answer says', async () => {
    const why = 'it says 401 "needs a token"; give one with --controller-token-file';
    expect(await askController(await serve(401, 'needs a token\n'), EXPLAIN_ANSWER)).toEqual({ kind: 'none', why });
  });

  it('a file that is not there is the asker’s mistake', async () => {
    const url = await serve(200, '{}');
    for (const way of [{ tokenFile: '/nonexistent' }, { caFile: '/nonexistent' }]) {
      await expect(askController(url, EXPLAIN_ANSWER, way)).rejects.toMatchObject({ code: 'InvalidConfig' });
    }
  });
});

describe('the address of the controller', () => {
  it('follows from where it serves', () => {
    expect(controllerUrl({ host: '127.0.0.1', port: 10_270 })).toBe('http://127.0.0.1:10270');
    expect(controllerUrl({ host: 'fd00::1', port: 10_270 })).toBe('http://[fd00::1]:10270');
    expect(controllerUrl({ host: undefined, port: 10_270 })).toBe('http://127.0.0.1:10270');
    expect(controllerUrl({ host: '127.0.0.1', port: 10_270 }, true)).toBe('https://127.0.0.1:10270');
    expect(controllerUrl(undefined)).toBeUndefined();
  });
});
