import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, Socket, type Server } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { httpProbe } from '#providers/proxy/http-probe';
import { Cleanup, loopback, until } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const PORT = 10_256;

async function listen(server: Server): Promise<string> {
  const host = loopback();
  server.listen(PORT, host);
  await once(server, 'listening');
  cleanup.add(() => new Promise((resolve) => server.close(resolve)));
  return host;
}

function ask(host: string, timeoutMs = 20_000, signal: AbortSignal = new AbortController().signal): Promise<string> {
  return httpProbe(host, PORT, timeoutMs, signal);
}

describe('a health check over HTTP', () => {
  for (const [status, result] of [
    [200, 'yes'],
    [503, 'no'],
    [404, 'no'],
    [301, 'no'],
  ] as const) {
    it(`takes ${status} for ${result}`, async () => {
      const paths: (string | undefined)[] = [];
      const host = await listen(
        createHttpServer((request, response) => {
          paths.push(request.url);
          response.writeHead(status).end('{"lastUpdated":"now"}');
        }),
      );
      expect(await ask(host)).toBe(result);
      expect(paths).toEqual(['/healthz']);
    });
  }

  it('takes a refused connection for silence', async () => {
    expect(await ask(loopback())).toBe('silent');
  });

  it('takes a lack of descriptors or ports of this machine for no answer at all', async () => {
    for (const code of ['EMFILE', 'EADDRNOTAVAIL']) {
      const connect = vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket) {
        process.nextTick(() => this.destroy(Object.assign(new Error(code), { code })));
        return this;
      });
      cleanup.add(() => connect.mockRestore());
      expect(await ask(loopback())).toBe('unknown');
      connect.mockRestore();
    }
  });

  it('takes what is not HTTP for silence', async () => {
    const host = await listen(
      createServer((socket) => {
        socket.on('error', () => {}).resume();
        socket.end('220 mail.example.com ESMTP\r\n');
      }),
    );
    expect(await ask(host)).toBe('silent');
  });

  it('takes no answer in time for silence, and lets go of the connection', async () => {
    let open = 0;
    const server = createServer((socket) => {
      open++;
      socket.on('error', () => {});
      socket.on('close', () => open--);
      socket.resume();
    });
    const host = await listen(server);
    const began = performance.now();
    expect(await ask(host, 100)).toBe('silent');
    expect(performance.now() - began).toBeLessThan(10_000);
    await until(() => open === 0, 'the connection is closed');
  });

  it('does not wait for a body that never ends', async () => {
    let open = 0;
    const host = await listen(
      createHttpServer((request, response) => {
        open++;
        request.socket.on('close', () => open--);
        response.writeHead(200);
        response.write('and so on');
      }),
    );
    expect(await ask(host, 10_000)).toBe('yes');
    await until(() => open === 0, 'the connection is closed');
  });

  it('ends when its signal aborts', async () => {
    const host = await listen(createServer((socket) => socket.on('error', () => {}).resume()));
    const abort = new AbortController();
    const answer = ask(host, 60_000, abort.signal);
    setTimeout(() => abort.abort(), 50);
    expect(await answer).toBe('silent');
    expect(await ask(host, 60_000, abort.signal)).toBe('silent');
  });
});
