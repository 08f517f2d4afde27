import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NODES } from '#src/kube/resources';
import { createClient, Loopback, refuse, reply, stream, type Handler } from './loopback.ts';

/** What the client told of its requests. */
class Told {
  readonly all: string[] = [];

  answered(): void {
    this.all.push('answered');
  }

  failed(retryAfterMs?: number): void {
    this.all.push(retryAfterMs === undefined ? 'failed' : `failed ${retryAfterMs}`);
  }
}

let server: Loopback;
let told: Told;

beforeEach(async () => {
  told = new Told();
  server = await Loopback.start((_, response) => reply(response, 200, {}));
});
afterEach(() => server[Symbol.asyncDispose]());

async function ask(handler: Handler, signal: AbortSignal = new AbortController().signal): Promise<readonly string[]> {
  server.handler = handler;
  await using kube = createClient(server, { availability: told, requestTimeoutMs: 2_000 });
  await kube.client.get(NODES, { name: 'n1' }, { signal }).catch(() => {});
  return told.all;
}

describe('a client tells whether the API server answers:', () => {
  it('yes, with success', async () => {
    expect(await ask((_, response) => reply(response, 200, {}))).toEqual(['answered']);
  });

  it.each([
    [404, 'NotFound'],
    [409, 'Conflict'],
    [403, 'Forbidden'],
    [410, 'Expired'],
  ])('yes, with a refusal of this request (%i)', async (code, reason) => {
    expect(await ask((_, response) => refuse(response, code, reason))).toEqual(['answered']);
  });

  it.each([
    [500, {}, 'failed'],
    [503, {}, 'failed'],
    [429, { 'retry-after': '2' }, 'failed 2000'],
  ])('no, with %i', async (code, headers, expected) => {
    expect(await ask((_, response) => refuse(response, code, 'Trouble', headers))).toEqual([expected]);
  });

  it('no, when the connection breaks', async () => {
    expect(await ask((_, response) => void response.destroy())).toEqual(['failed']);
  });

  it('no, when the answer breaks off', async () => {
    const handler: Handler = (_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('{', () => response.destroy());
    };
    expect(await ask(handler)).toEqual(['answered', 'failed']);
  });

  it('nothing, when the caller gives up', async () => {
    const caller = new AbortController();
    expect(await ask(() => caller.abort(), caller.signal)).toEqual([]);
  });

  it('no, when a watch falls silent', async () => {
    server.handler = (_, response) => stream(response);
    await using kube = createClient(server, { availability: told });
    const watch = kube.client.watch(NODES, {
      resourceVersion: '1',
      timeoutSeconds: 60,
      inactivityMs: 20,
      signal: new AbortController().signal,
    });
    await expect(watch.next()).rejects.toThrow('nothing came for 20 ms');
    expect(told.all).toEqual(['answered', 'failed']);
  });
});
