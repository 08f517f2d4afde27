/** How the controller process ends that has never led, while the API server is in trouble. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '#test/control-plane/free-port';
import { spawnController, type ControllerProcess } from '#test/chaos/controller-process';
import { temporaryFolder } from '../unit/control-plane/temporary-folder.ts';
import { waitFor } from './service/wait.ts';

let server: Server | undefined;
let controller: ControllerProcess | undefined;
afterEach(async () => {
  await controller?.kill();
  server?.closeAllConnections();
  server?.close();
});

/** An API server whose lists hang, and which cannot make the Lease. Gives its URL, and what it was asked. */
async function troubled(): Promise<{ readonly url: string; readonly asked: ReadonlySet<string> }> {
  const asked = new Set<string>();
  server = createServer(({ method = '', url = '' }, response) => {
    const isLease = url.includes('/leases');
    asked.add(isLease ? `${method} lease` : 'list');
    if (!isLease) return;
    const code = method === 'GET' ? 404 : 500;
    // As long as it takes, so that giving the Lease back waits for something.
    setTimeout(() => {
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ kind: 'Status', code }));
    }, 50);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { url: `http://127.0.0.1:${address.port}`, asked };
}

describe('the end of a controller that has never led and seen nothing', () => {
  it('is in order', async () => {
    const { url, asked } = await troubled();
    const kubeconfig = join(temporaryFolder(), 'kubeconfig');
    const named = (kind: string, value: object): object => ({ name: 'x', [kind]: value });
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'x',
      contexts: [named('context', { cluster: 'x', user: 'x' })],
      clusters: [named('cluster', { server: url })],
      users: [named('user', { token: 'nobody-looks-at-it' })],
    };
    await writeFile(kubeconfig, JSON.stringify(config));
    controller = spawnController({
      flags: [
        ['--kubeconfig', kubeconfig],
        ['--proxy-addresses', '127.9.9.1'],
        ['--proxy-listen', 'false'],
        ['--leader-elect', 'true'],
        ['--leader-elect-namespace', 'default'],
        ['--metrics-bind-address', `127.0.0.1:${await freePort()}`],
      ].flat(),
    });
    await waitFor(
      'the controller to ask for everything',
      () => (asked.has('list') && asked.has('POST lease')) || undefined,
    );
    expect(await controller.terminate()).toEqual({ code: 0, signal: null });
    expect(controller.linesAbout('please report')).toEqual([]);
  });
});
