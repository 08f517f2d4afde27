/** A leader that cannot reach the API server, while its clients can reach it. */
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addresses, isProgrammed, nodePorts, useCluster, type Namespace } from '../service/cluster.ts';
import { newPool } from '../service/controller.ts';
import { PATIENCE, Replica, SHORT_TIMES } from './replica.ts';

const cluster = useCluster();
/** The InternalIP of the only node; what listens there on a NodePort stands for kube-proxy and a pod. */
const NODE = '127.1.0.1';
const GREETING = 'served';
/** Of a test, on a machine that does ten other things. */
const LONGEST_MS = 240_000;

let namespace: Namespace;
let pool: string;
let replicas: Replica[];
const servers: Server[] = [];

beforeAll(() =>
  cluster.createNode({ metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: NODE }] } }),
);
afterAll(() => {
  for (const server of servers) server.close();
});
beforeEach(async () => {
  namespace = await cluster.namespace('outage');
  pool = newPool();
  replicas = [];
});
afterEach(async () => {
  for (const replica of replicas) await replica[Symbol.asyncDispose]();
});

async function start(): Promise<Replica> {
  const flags = [
    SHORT_TIMES.flags,
    ['--leader-elect-name', namespace.name],
    ['--proxy-addresses', pool],
    ['--proxy-shutdown-timeout', '1s'],
  ].flat();
  const replica = await Replica.start(cluster, { flags });
  replicas.push(replica);
  return replica;
}

function untilServed(name: string): ReturnType<Namespace['until']> {
  return namespace.until(name, 'Programmed to be True', isProgrammed, PATIENCE.timeoutMs);
}

/** A Service that answers every connection with the greeting; gives its address. */
async function createAnswering(name: string): Promise<string> {
  await namespace.create(name);
  const service = await untilServed(name);
  const server = createServer((socket) => socket.on('error', () => {}).end(GREETING));
  servers.push(server.listen(nodePorts(service)[0], NODE));
  await once(server, 'listening');
  return addresses(service)[0] ?? '';
}

/** What a new connection is greeted with; empty when nobody answers. */
async function greeting(address: string): Promise<string> {
  const socket = connect(80, address).setTimeout(20_000, () => socket.destroy());
  const chunks: Buffer[] = [];
  socket.on('error', () => {}).on('data', (chunk) => chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}

function isFenced(replica: Replica): () => Promise<boolean> {
  return async () => (await replica.ask('/readyz')).text.includes('[-]leader-election failed: fenced for');
}

describe('a leader that cannot reach the API server, and has nothing outside its process', () => {
  it(
    'serves on and changes nothing; then it leads again and does what is due',
    async () => {
      const leader = await start();
      await leader.untilLeading();
      const address = await createAnswering('web');
      await leader.api.refuse();
      await leader.until('it to be fenced', isFenced(leader));
      await namespace.create('late');
      const mark = leader.mark();
      expect(await greeting(address)).toBe(GREETING);
      expect(await leader.ask('/readyz')).toMatchObject({ status: 503 });
      expect(await leader.ask('/healthz')).toMatchObject({ status: 200 });
      expect((await leader.ask('/metrics')).text).toMatch(/^leader_election_master_status\{[^}]*\} 0$/m);
      const explained = await leader.ask(`/api/explain?service=${namespace.name}/web`);
      expect(explained).toMatchObject({ status: 200, text: expect.stringContaining('The controller serves on, but') });
      // Not that it could: what it sends does not arrive.
      expect(leader.writesSince(mark)).toEqual([]);

      await leader.api.accept();
      await untilServed('late');
      await leader.until('it to be ready', async () => (await leader.ask('/readyz')).status === 200);
      expect(leader.process.linesAbout('leads again')).not.toEqual([]);
      expect(await greeting(address)).toBe(GREETING);
      expect(await leader.process.terminate()).toEqual({ code: 0, signal: null });
    },
    LONGEST_MS,
  );

  it(
    'ends without a write when it finds that another one leads, which then serves',
    async () => {
      const leader = await start();
      await leader.untilLeading();
      const address = await createAnswering('web');
      const follower = await start();
      await leader.api.refuse();
      await follower.untilLeading();
      await leader.until('it to be fenced', isFenced(leader));
      expect(await greeting(address)).toBe(GREETING);

      const mark = leader.mark();
      await leader.api.accept();
      expect(await leader.process.exited).toEqual({ code: 1, signal: null });
      expect(leader.writesSince(mark)).toEqual([]);
      // Two on one machine: the new one gets the port when the old one has gone.
      await follower.until('the follower to serve', async () => (await greeting(address)) === GREETING);
      await untilServed('web');
      expect(addresses(await namespace.get('web'))).toEqual([address]);
    },
    LONGEST_MS,
  );
});
