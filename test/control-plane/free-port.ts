import { createServer } from 'node:net';

/**
 * Below the range from which systems take the ports of outgoing connections (Linux 32768–60999, others 49152–65535) and
 * below Kubernetes' NodePorts, so that a port stays ours while its server restarts.
 */
const FIRST = 20_000;
const COUNT = 10_000;
const TRIES = 100;

/**
 * A TCP port of 127.0.0.1 that nothing listens on. Another process may still be faster: whoever uses it must be ready
 * to ask for another.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`No free port of 127.0.0.1 found in ${TRIES} tries between ${FIRST} and ${FIRST + COUNT - 1}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
