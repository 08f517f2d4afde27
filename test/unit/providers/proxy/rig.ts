/**
 * A small world on loopback for tests of the proxy provider: nodes that answer at addresses of their own, clients, and
 * one pass of the controller. Every process that runs tests has its own part of 127.0.0.0/8, so ports never clash.
 */
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { Registry } from 'prom-client';
import { expect } from 'vitest';
import { createProxyProvider } from '#providers/proxy/index';
import { parseProxyOptions } from '#providers/proxy/options';
import type { DesiredLoadBalancer, NodeSet } from '#src/loadbalancer/model';
import type { LoadBalancerStatus, Plan, Provider, ApplyContext } from '#src/loadbalancer/provider';
import { nodeSet, nodeTarget } from '#test/fakes/builders';
import { silentLog } from '#test/fakes/log';

let hosts = 0;

/** An address of this machine that nothing else uses: processes with different numbers, below 12,800 apart, share none. */
export function loopback(): string {
  hosts++;
  if (hosts > 255)
    throw new Error('one file of tests asks for more than 255 addresses, and the next belongs to another');
  return `127.${200 + ((process.pid >> 8) % 50)}.${process.pid & 255}.${hosts}`;
}

export const HEALTH_PORT = 10_256;
export const NODE_PORT = 30_080;

/** Undone last first at the end of a test. */
export class Cleanup {
  readonly #steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (const step of this.#steps.splice(0).toReversed()) await step();
  }
}

/** A node: its address, its health, and what answers at its NodePort. */
export interface FakeNode {
  readonly name: string;
  readonly address: string;
  /** Connections that reached its NodePort so far. */
  accepted: number;
  readonly sockets: Set<Socket>;
  /** The status that its health check answers with. */
  healthStatus: number;
  /** Health checks so far. */
  checks: number;
  stop(): Promise<void>;
}

export interface NodeOptions {
  readonly port?: number;
  readonly healthPort?: number;
  /** Undefined: nothing listens at the NodePort. By default, the node says its name and ends. */
  readonly serve?: ((socket: Socket) => void) | undefined;
}

export async function startNode(cleanup: Cleanup, name: string, options: NodeOptions = {}): Promise<FakeNode> {
  const address = loopback();
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  const node: FakeNode = {
    name,
    address,
    accepted: 0,
    sockets,
    healthStatus: 200,
    checks: 0,
    async stop() {
      for (const socket of sockets) socket.destroy();
      for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
    },
  };
  const serve = 'serve' in options ? options.serve : (socket: Socket) => socket.end(name);
  if (serve) {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      node.accepted++;
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => {});
      serve(socket);
    });
    servers.push(server);
    await listen(server, address, options.port ?? NODE_PORT);
  }
  const health = createHttpServer((_request, response) => {
    node.checks++;
    response.statusCode = node.healthStatus;
    response.end('{}');
  });
  servers.push(health);
  await listen(health, address, options.healthPort ?? HEALTH_PORT);
  cleanup.add(() => node.stop());
  return node;
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen({ host, port });
  await once(server, 'listening');
}

export function nodesOf(nodes: readonly { readonly name: string; readonly address: string }[]): NodeSet {
  return nodeSet(nodes.map(({ name, address }) => nodeTarget({ name, addresses: { IPv4: address } })));
}

export function context(signal: AbortSignal = new AbortController().signal): ApplyContext {
  return { signal, log: silentLog, fence: () => {} };
}

export interface World {
  readonly provider: Provider;
  readonly registry: Registry;
  /** The addresses of the pool. */
  readonly pool: readonly string[];
  /** One pass: look, apply everything, look again; nothing may be left to do. */
  reconcile(desired: DesiredLoadBalancer): Promise<{ readonly plan: Plan; readonly status: LoadBalancerStatus }>;
  remove(desired: DesiredLoadBalancer): Promise<Plan>;
  /** Ends the provider as SIGTERM does. */
  stop(): Promise<void>;
}

/** A running provider with a pool of `addresses` addresses, 3 unless told otherwise. */
export function startWorld(
  cleanup: Cleanup,
  raw: Readonly<Record<string, unknown>> = {},
  pool: readonly string[] = [loopback(), loopback(), loopback()],
): World {
  const registry = new Registry();
  const options = parseProxyOptions({
    'proxy-addresses': pool,
    'proxy-health-interval': 100,
    // Nobody is to be taken for ill or dead because the machine is busy.
    'proxy-health-timeout': 20_000,
    'proxy-connect-timeout': 20_000,
    'proxy-shutdown-timeout': 200,
    ...raw,
  });
  const provider: Provider = createProxyProvider(options, { log: silentLog, registry });
  const abort = new AbortController();
  const running = provider.run(abort.signal);
  provider.restore([]);
  const stop = async (): Promise<void> => {
    abort.abort();
    await running;
  };
  cleanup.add(stop);
  const pass = async (id: DesiredLoadBalancer['id'], desired: DesiredLoadBalancer | undefined): Promise<Plan> => {
    const plan = provider.plan(desired, await provider.observe(id, context()));
    for (const step of plan.steps) await provider.apply(step, context());
    expect(provider.plan(desired, await provider.observe(id, context())).steps).toEqual([]);
    return plan;
  };
  return {
    provider,
    registry,
    pool,
    stop,
    remove: ({ id }) => pass(id, undefined),
    async reconcile(desired) {
      const plan = await pass(desired.id, desired);
      return { plan, status: provider.status(desired, await provider.observe(desired.id, context())) };
    },
  };
}

/** Connects; what the other side does is up to the test. */
export async function dialClient(host: string, port: number, cleanup: Cleanup, from?: string): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true, ...(from === undefined ? {} : { localAddress: from }) });
  socket.on('error', () => {});
  cleanup.add(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Everything that comes until the end; rejects when the connection breaks instead. */
export async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve, reject) => {
    socket.once('end', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed without an end')));
  });
  return Buffer.concat(chunks).toString();
}

/** Connects, says nothing, and reads until the end. */
export async function ask(host: string, port: number, cleanup: Cleanup, from?: string): Promise<string> {
  const socket = await dialClient(host, port, cleanup, from);
  const answer = await readAll(socket);
  socket.end();
  return answer;
}

/** The code of the error that ends the socket; `end` or `close` where it ends without one. */
export function endOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('end', () => resolve('end'));
    socket.once('close', () => resolve('close'));
    socket.resume();
  });
}

/** How a connection that says nothing ends, also one that is reset before it has begun. */
export function fateOf(host: string, port: number, cleanup: Cleanup, from?: string): Promise<string> {
  const socket = connect({ host, port, allowHalfOpen: true, ...(from === undefined ? {} : { localAddress: from }) });
  cleanup.add(() => socket.destroy());
  return endOf(socket);
}

/** Waits until something holds; fails after 20 seconds with what it was about. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 20_000;
  do {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  } while (performance.now() < end);
  throw new Error(`waited in vain until ${what}`);
}

/** The value of a metric with these labels; undefined when there is no such series. */
export async function metric(
  registry: Registry,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<number | undefined> {
  const found = await registry.getSingleMetric(name)?.get();
  const values: readonly { readonly value: number; readonly labels: object }[] = found?.values ?? [];
  return values.find((each) =>
    Object.entries(labels).every(([label, value]) => String(Object(each.labels)[label]) === value),
  )?.value;
}
