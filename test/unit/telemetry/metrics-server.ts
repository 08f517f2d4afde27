/** A metrics server for a test, and raw clients that do what no good one does. */
import { connect, type Socket } from 'node:net';
import { Registry } from 'prom-client';
import { onTestFinished } from 'vitest';
import { HealthServer, type HealthServerOptions } from '#src/telemetry/health';
import type { ListenAddress } from '#src/telemetry/httpserver';
import { captureLog, type CapturedLog } from '#test/fakes/log';

export interface RunningServer {
  readonly server: HealthServer;
  readonly address: ListenAddress;
  readonly captured: CapturedLog;
}

/** Serves on a free port of the loopback address until the test is over; `/api/plan` answers `{"steps":[]}`. */
export async function serveMetrics(options: Partial<HealthServerOptions> = {}): Promise<RunningServer> {
  const captured = captureLog();
  const server = new HealthServer({ port: 0, registry: new Registry(), log: captured.log, ...options });
  server.route('/api/plan', async () => ({ steps: [] }));
  const stop = new AbortController();
  const running = server.start(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await running;
  });
  return { server, address: await server.listening, captured };
}

/** Resolves when the socket has closed, by a reset as well. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** Sends bytes and gives all that comes back until the server closes. */
export async function rawAnswer({ host, port }: ListenAddress, bytes: string): Promise<string> {
  const socket = connect(port, host);
  onTestFinished(() => void socket.destroy());
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  socket.on('error', () => {});
  if (bytes !== '') socket.write(bytes);
  await closed(socket);
  return answer;
}
