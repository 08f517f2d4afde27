import { describe, expect, it } from 'vitest';
import type { KubeClient, WatchOptions } from '#src/kube/client';
import { SERVICES } from '#src/kube/resources';
import type { WatchEvent } from '#src/kube/watchevents';
import type { Service } from '#src/kube/wire';
import { service } from '#test/fakes/builders';
import { createClient, Loopback, refuse, stream } from './loopback.ts';

function options(more: Partial<WatchOptions> = {}): WatchOptions {
  const { signal } = new AbortController();
  return { signal, resourceVersion: '10', timeoutSeconds: 300, inactivityMs: 2_000, ...more };
}

function added(name: string): object {
  return { type: 'ADDED', object: service({ metadata: { name } }) };
}

function nameOf(event: WatchEvent<Service>): string {
  return event.type === 'BOOKMARK'
    ? `bookmark ${event.resourceVersion}`
    : `${event.type} ${event.object.metadata.name}`;
}

/** All events until the watch ends, and the error it ended with. */
async function readAll(client: KubeClient, watch: WatchOptions): Promise<{ events: string[]; error: unknown }> {
  const events: string[] = [];
  try {
    for await (const event of client.watch(SERVICES, watch)) events.push(nameOf(event));
  } catch (error) {
    return { events, error };
  }
  return { events, error: undefined };
}

describe('a watch', () => {
  it('asks for bookmarks and an end, from where the list stopped', async () => {
    await using server = await Loopback.start((_, response) => {
      stream(response, added('a'), {
        type: 'BOOKMARK',
        object: { kind: 'Service', metadata: { resourceVersion: '12' } },
      });
      response.end();
    });
    await using kube = createClient(server);
    const { events, error } = await readAll(kube.client, options({ namespace: 'shop', labelSelector: 'a=b' }));
    expect([events, error]).toEqual([['ADDED a', 'bookmark 12'], undefined]);
    expect(server.requests[0]?.path).toBe('/api/v1/namespaces/shop/services');
    expect(Object.fromEntries(server.requests[0]?.query ?? [])).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: '10',
      timeoutSeconds: '300',
      labelSelector: 'a=b',
    });
  });

  it('gives each event as it comes', async () => {
    const sent = Promise.withResolvers<void>();
    await using server = await Loopback.start((_, response) => {
      stream(response, added('a'));
      void sent.promise.then(() => stream(response, added('b')));
    });
    await using kube = createClient(server);
    const watch = kube.client.watch(SERVICES, options());
    expect((await watch.next()).value).toMatchObject({ type: 'ADDED' });
    sent.resolve();
    expect((await watch.next()).value).toMatchObject({ object: { metadata: { name: 'b' } } });
    await watch.return();
    await server.until(() => server.sockets.size === 0);
  });

  it('closes its connection when the reader stops', async () => {
    await using server = await Loopback.start((_, response) => stream(response, added('a'), added('b')));
    await using kube = createClient(server);
    for await (const event of kube.client.watch(SERVICES, options())) {
      expect(nameOf(event)).toBe('ADDED a');
      break;
    }
    await server.until(() => server.sockets.size === 0);
  });

  it('fails with the Status of an ERROR event', async () => {
    await using server = await Loopback.start((_, response) => {
      const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version: 10 (99)' };
      stream(response, added('a'), { type: 'ERROR', object: status });
    });
    await using kube = createClient(server);
    const { events, error } = await readAll(kube.client, options());
    expect(events).toEqual(['ADDED a']);
    expect(error).toMatchObject({ httpStatus: 410, reason: 'Expired', message: expect.stringContaining('10 (99)') });
  });

  it('fails when the server refuses it', async () => {
    await using server = await Loopback.start((_, response) => refuse(response, 403, 'Forbidden'));
    await using kube = createClient(server);
    expect(await readAll(kube.client, options())).toMatchObject({ events: [], error: { code: 'ApiForbidden' } });
  });

  it.each([
    ['between two events', ''],
    ['in the middle of an event', '{"type":"ADD'],
  ])('fails when the connection is cut %s', async (_, rest) => {
    await using server = await Loopback.start((_, response) => {
      stream(response, added('a'));
      response.write(rest);
      setTimeout(() => response.destroy(), 20);
    });
    await using kube = createClient(server);
    const { events, error } = await readAll(kube.client, options());
    expect([events, error]).toMatchObject([['ADDED a'], { code: 'ApiUnavailable' }]);
  });

  it('fails when the stream ends properly but in the middle of an event', async () => {
    await using server = await Loopback.start((_, response) => {
      stream(response, added('a'));
      response.end('{"type":"ADD');
    });
    await using kube = createClient(server);
    expect(await readAll(kube.client, options())).toMatchObject({
      events: ['ADDED a'],
      error: {
        code: 'ApiUnavailable',
        message: expect.stringContaining('WATCH /api/v1/services: the stream broke off'),
      },
    });
  });

  it.each([
    ['says nothing', []],
    ['says nothing any more', ['a']],
  ])('notices a server that %s over a connection that stays open', async (_, names) => {
    await using server = await Loopback.start((_, response) => stream(response, ...names.map(added)));
    await using kube = createClient(server);
    const { events, error } = await readAll(kube.client, options({ inactivityMs: 1_500 }));
    expect([events, error]).toMatchObject([
      names.map((name) => `ADDED ${name}`),
      { code: 'ApiUnavailable', message: /nothing came for 1500 ms/ },
    ]);
    await server.until(() => server.sockets.size === 0);
  });

  it('notices a server that never begins to answer', async () => {
    await using server = await Loopback.start(() => {});
    await using kube = createClient(server, { requestTimeoutMs: 60 });
    const { error } = await readAll(kube.client, options());
    expect(error).toMatchObject({ code: 'ApiUnavailable', message: /no answer within 60 ms/ });
    await server.until(() => server.sockets.size === 0);
  });

  it('does not take a slow reader for a silent server', async () => {
    await using server = await Loopback.start((_, response) => {
      stream(response, added('a'), added('b'));
      setTimeout(() => {
        stream(response, added('c'));
        response.end();
      }, 30);
    });
    await using kube = createClient(server);
    const events: string[] = [];
    for await (const event of kube.client.watch(SERVICES, options({ inactivityMs: 2_000 }))) {
      events.push(nameOf(event));
      if (events.length === 1) await new Promise((resolve) => setTimeout(resolve, 2_500));
    }
    expect(events).toEqual(['ADDED a', 'ADDED b', 'ADDED c']);
  });

  it("ends with the caller's reason", async () => {
    await using server = await Loopback.start((_, response) => stream(response, added('a')));
    await using kube = createClient(server);
    const caller = new AbortController();
    const watch = kube.client.watch(SERVICES, options({ signal: caller.signal }));
    await watch.next();
    const reason = new Error('enough');
    setImmediate(() => caller.abort(reason));
    await expect(watch.next()).rejects.toBe(reason);
    await server.until(() => server.sockets.size === 0);
    const late = kube.client.watch(SERVICES, options({ signal: caller.signal }));
    await expect(late.next()).rejects.toBe(reason);
    expect(server.requests).toHaveLength(1);
  });

  it('lets the server wait while the reader is busy', async () => {
    const line = added('x'.repeat(60_000));
    let written = 0;
    const total = 400;
    await using server = await Loopback.start((_, response) => {
      const more = (): void => {
        while (written < total) {
          written += 1;
          if (!response.write(`${JSON.stringify(line)}\n`)) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      response.writeHead(200);
      more();
    });
    await using kube = createClient(server);
    const watch = kube.client.watch(SERVICES, options());
    await watch.next();
    // 24 MB are to come; what is written ahead is what the kernel's buffers hold.
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(written).toBeLessThan(total);
    let read = 1;
    for await (const event of watch) {
      expect(event.type).toBe('ADDED');
      read += 1;
    }
    expect(read).toBe(total);
  });

  it('skips events of types that did not exist when this was written', async () => {
    await using server = await Loopback.start((_, response) => {
      stream(response, { type: 'RENAMED', object: service() }, added('a'));
      response.end();
    });
    await using kube = createClient(server);
    expect(await readAll(kube.client, options())).toEqual({ events: ['ADDED a'], error: undefined });
  });
});
