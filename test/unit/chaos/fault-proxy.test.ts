import { connect } from 'node:net';
import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { always, FaultProxy, firstTimes, type Match } from '#test/chaos/fault-proxy';
import { startOrigin, type Origin } from './origin.ts';

const everything: Match = () => true;
const { signal } = new AbortController();

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each[Symbol.asyncDispose]();
});

async function start(answer?: Parameters<typeof startOrigin>[0]): Promise<{ proxy: FaultProxy; origin: Origin }> {
  const origin = await startOrigin(answer);
  opened.push(origin);
  const proxy = await FaultProxy.start({ target: origin.url });
  opened.push(proxy);
  return { proxy, origin };
}

/** Sends `GET /x` by hand and gives every byte that comes back, and how the connection ended. */
async function bytesFrom(proxy: FaultProxy): Promise<{ readonly body: string; readonly end: string }> {
  const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1');
  socket.write('GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  let text = '';
  let end = 'closed';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.on('error', (error: NodeJS.ErrnoException) => (end = error.code ?? error.message));
  await new Promise((resolve) => socket.once('close', resolve));
  return { body: text.slice(text.indexOf('\r\n\r\n') + 4), end };
}

async function textOf(response: Promise<Response>): Promise<string> {
  return (await response).text();
}

/** Streams lines for as long as somebody listens. */
function streaming(): { readonly answer: (response: ServerResponse) => void; readonly say: (line: string) => void } {
  const listeners: ServerResponse[] = [];
  return {
    answer: (response) => {
      response.writeHead(200).flushHeaders();
      listeners.push(response);
    },
    say: (line) => {
      for (const response of listeners) response.write(`${line}\n`);
    },
  };
}

describe('the fault proxy without a rule', () => {
  it('passes the request and its answer on, and remembers them', async () => {
    const { proxy, origin } = await start();
    expect(await textOf(fetch(`${proxy.url}/a?b=c`, { method: 'POST', body: 'grüße' }))).toBe('POST grüße');
    expect(origin.arrived).toEqual(['POST /a?b=c']);
    expect(proxy.exchanges).toEqual([
      { index: 0, at: expect.any(Number), method: 'POST', path: '/a?b=c', isWatch: false, body: 'grüße', status: 200 },
    ]);
  });

  it('passes an error of the server on', async () => {
    const { proxy } = await start((response) => response.writeHead(503, { 'retry-after': '7' }).end('no'));
    const response = await fetch(proxy.url);
    expect([response.status, response.headers.get('retry-after'), await response.text()]).toEqual([503, '7', 'no']);
  });

  it('passes each line of a stream on when it is said', async () => {
    const { answer, say } = streaming();
    const { proxy } = await start(answer);
    const response = await fetch(`${proxy.url}/x?watch=true`);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (const line of ['one', 'two']) {
      say(line);
      expect((await reader?.read())?.value).toBe(`${line}\n`);
    }
    expect(proxy.exchanges[0]).toMatchObject({ isWatch: true, status: 200 });
    await reader?.cancel();
  });

  it('resets the client when the server is not there', async () => {
    const { proxy, origin } = await start();
    await origin[Symbol.asyncDispose]();
    expect(await bytesFrom(proxy)).toEqual({ body: '', end: 'ECONNRESET' });
  });
});

describe('the fault proxy', () => {
  it.each([410, 429, 500, 503])('answers %i itself', async (status) => {
    const { proxy, origin } = await start();
    proxy.use(always(everything, { kind: 'answer', status, headers: { 'retry-after': '3' }, body: '{}' }));
    const response = await fetch(proxy.url);
    expect([response.status, response.headers.get('retry-after'), await response.text()]).toEqual([status, '3', '{}']);
    expect(origin.arrived).toEqual([]);
  });

  it('cuts an answer at every byte, by a reset', async () => {
    const text = '{"text":"grüße 🚢"}';
    const bytes = Buffer.from(text);
    const { proxy } = await start((response) => response.writeHead(200, { 'content-length': bytes.length }).end(text));
    for (let afterBytes = 0; afterBytes <= bytes.length; afterBytes += 1) {
      const remove = proxy.use(always(everything, { kind: 'cut', afterBytes }));
      const { body, end } = await bytesFrom(proxy);
      expect(body).toBe(bytes.subarray(0, afterBytes).toString('latin1'));
      expect(end).toBe('ECONNRESET');
      remove();
    }
  });

  it('ends an answer too early as if it were whole', async () => {
    const { proxy } = await start((response) => response.writeHead(200, { 'content-length': 10 }).end('0123456789'));
    proxy.use(always(everything, { kind: 'cut', afterBytes: 2, from: '34', how: 'end' }));
    expect(await textOf(fetch(proxy.url))).toBe('0123456');
  });

  it('cuts a stream behind the bytes that it is told, whenever they come', async () => {
    const { answer, say } = streaming();
    const { proxy } = await start(answer);
    proxy.use(always(everything, { kind: 'cut', afterBytes: 3, from: 'two' }));
    const reader = (await fetch(proxy.url)).body?.pipeThrough(new TextDecoderStream()).getReader();
    say('one');
    expect((await reader?.read())?.value).toBe('one\n');
    say('two three');
    expect((await reader?.read())?.value).toBe('two th');
    await expect(reader?.read()).rejects.toThrow('terminated');
  });

  it('delays a request', async () => {
    const { proxy } = await start();
    proxy.use(always(everything, { kind: 'delay', milliseconds: 60 }));
    const startedAt = performance.now();
    expect(await textOf(fetch(proxy.url))).toBe('GET ');
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(59);
  });

  it('loses the answer to what the server has carried out', async () => {
    const { proxy, origin } = await start();
    proxy.use(firstTimes(1, ({ method }) => method === 'POST', { kind: 'lose-response' }));
    const done: string[] = [];
    proxy.after(({ status }) => void done.push(`${status} ${origin.arrived.join()}`));
    await expect(fetch(`${proxy.url}/made`, { method: 'POST', body: 'x' })).rejects.toThrow('fetch failed');
    expect(done).toEqual(['200 POST /made']);
    expect(await textOf(fetch(`${proxy.url}/made`, { method: 'POST', body: 'y' }))).toBe('POST y');
  });

  it('keeps a request unanswered until it is released', async () => {
    const { proxy, origin } = await start();
    proxy.use(firstTimes(1, everything, { kind: 'hang' }));
    const answer = textOf(fetch(`${proxy.url}/one`));
    expect(await textOf(fetch(`${proxy.url}/two`))).toBe('GET ');
    expect(origin.arrived).toEqual(['GET /two']);
    proxy.release();
    expect(await answer).toBe('GET ');
    expect(origin.arrived).toEqual(['GET /two', 'GET /one']);
  });

  it('never forwards what hung when its client has gone', async () => {
    const { proxy, origin } = await start();
    proxy.use(firstTimes(1, everything, { kind: 'hang' }));
    const gone = new AbortController();
    const answer = fetch(`${proxy.url}/one`, { signal: gone.signal });
    await expect.poll(() => proxy.exchanges.length).toBe(1);
    gone.abort();
    await expect(answer).rejects.toThrow('aborted');
    await expect.poll(() => proxy.connections).toBe(0);
    proxy.release();
    await textOf(fetch(`${proxy.url}/two`));
    expect(origin.arrived).toEqual(['GET /two']);
  });

  it('changes an answer', async () => {
    const { proxy } = await start((response) => response.writeHead(200, { 'content-length': 6 }).end('[1, 2]'));
    proxy.use(always(everything, { kind: 'replace', change: (body) => `${body} – stale` }));
    expect(await textOf(fetch(proxy.url))).toBe('[1, 2] – stale');
  });

  it('asks the newest rule first, and no rule that was removed', async () => {
    const { proxy } = await start();
    const answering = (status: number) => always(everything, { kind: 'answer', status });
    proxy.use(answering(500));
    const remove = proxy.use(answering(429));
    proxy.use(() => undefined);
    expect((await fetch(proxy.url)).status).toBe(429);
    remove();
    expect((await fetch(proxy.url)).status).toBe(500);
  });

  it('stops at its hooks before the server knows of a request, and before the client knows of the answer', async () => {
    const { proxy, origin } = await start();
    const order: string[] = [];
    proxy.before(async ({ index }) => {
      await Promise.resolve();
      order.push(`before ${index}: ${origin.arrived.length} arrived`);
    });
    const removeAfter = proxy.after(({ index, status }) => void order.push(`after ${index}: ${status}`));
    await textOf(fetch(proxy.url));
    order.push('answered');
    removeAfter();
    await textOf(fetch(proxy.url));
    expect(order).toEqual(['before 0: 0 arrived', 'after 0: 200', 'answered', 'before 1: 1 arrived']);
  });

  it('cuts every connection at once', async () => {
    const { answer } = streaming();
    const { proxy } = await start(answer);
    const readers = await Promise.all(
      ['/a', '/b'].map(async (path) => (await fetch(proxy.url + path)).body?.getReader()),
    );
    proxy.cutAll();
    for (const reader of readers) await expect(reader?.read()).rejects.toThrow('terminated');
    await expect.poll(() => proxy.connections).toBe(0);
  });

  it('lets nothing pass while it is frozen, over old connections and new ones', async () => {
    const { answer, say } = streaming();
    const { proxy, origin } = await start(answer);
    const reader = (await fetch(`${proxy.url}/old`)).body?.pipeThrough(new TextDecoderStream()).getReader();
    proxy.freeze();
    let heard = 0;
    const read = reader?.read().then((result) => ((heard += 1), result.value));
    say('unheard');
    const opening = fetch(`${proxy.url}/new`, { signal });
    await expect.poll(() => proxy.exchanges.length).toBe(2);
    expect([heard, origin.arrived]).toEqual([0, ['GET /old']]);
    proxy.thaw();
    expect(await read).toBe('unheard\n');
    await (await opening).body?.cancel();
    await reader?.cancel();
  });

  it('refuses connections and accepts them again at the same address', async () => {
    const { proxy } = await start();
    const { url } = proxy;
    await proxy.refuse();
    await expect(fetch(url)).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
    await proxy.accept();
    expect(proxy.url).toBe(url);
    expect(await textOf(fetch(url))).toBe('GET ');
  });
});
