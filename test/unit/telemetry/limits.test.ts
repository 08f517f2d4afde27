/** What a client of the metrics server may take. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ListenAddress } from '#src/telemetry/httpserver';
import { closed, rawAnswer, serveMetrics } from './metrics-server.ts';

vi.setConfig({ testTimeout: 60_000 });

async function open({ host, port }: ListenAddress): Promise<Socket> {
  const socket = connect(port, host).on('error', () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

describe('a client of the metrics server', () => {
  it('may not be slow with its headers, or send nothing at all', async () => {
    const { address } = await serveMetrics({ headersTimeoutMs: 300 });
    const slow = await open(address);
    let answer = '';
    slow.setEncoding('utf8').on('data', (text: string) => (answer += text));
    slow.write('GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n');
    // What is written to a server that has closed may cost its answer.
    const drip = setInterval(() => answer === '' && slow.write('x-a: b\r\n'), 50);
    await Promise.all([closed(slow), rawAnswer(address, '')]);
    clearInterval(drip);
    expect(answer).toMatch(/^HTTP\/1.1 408 /);
  });

  it('may not send more than 64 headers, however small', async () => {
    const { address } = await serveMetrics();
    const request = (count: number): string =>
      `GET /healthz HTTP/1.1\r\n${'a: b\r\n'.repeat(count - 2)}host: x\r\nconnection: close\r\n\r\n`;
    expect(await rawAnswer(address, request(64))).toMatch(/^HTTP\/1.1 200 /);
    expect(await rawAnswer(address, request(65))).toMatch(/^HTTP\/1.1 431 /);
  });

  it('may not hold more than 32 connections, and gets room again when it lets some go', async () => {
    const { address } = await serveMetrics();
    const sockets: Socket[] = [];
    for (let count = 0; count < 32; count++) sockets.push(await open(address));
    const refused = await open(address);
    await closed(refused);
    expect(sockets.every(({ closed }) => !closed)).toBe(true);

    for (const socket of sockets) socket.destroy();
    const ask = (): Promise<string> =>
      rawAnswer(address, 'GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    await expect.poll(ask, { timeout: 25_000 }).toMatch(/^HTTP\/1.1 200 /);
  });

  it('may not send a second request behind a refused body', async () => {
    const { address } = await serveMetrics();
    const smuggled = 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n';
    const answer = await rawAnswer(
      address,
      `GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`,
    );
    expect(answer.match(/^HTTP\/1.1/gm)).toHaveLength(1);
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });
});
