import { once } from 'node:events';
import { connect } from 'node:net';
import { Worker } from 'node:worker_threads';
import { NODE_PORT, loopback, until, type Cleanup } from './rig.ts';

/** Listens, and then sleeps, so that the kernel's queue fills up and it answers nobody any more. */
const PROGRAM = `
  const { createServer } = require('node:net');
  const { parentPort, workerData: { host, port, sleep } } = require('node:worker_threads');
  createServer().listen({ host, port, backlog: 1 }, () => {
    parentPort.postMessage('listening');
    Atomics.wait(sleep, 0, 0);
  });
`;

/** A node that lets every attempt to connect run into its time-out, as one does that was cut off. */
export async function startSilentNode(cleanup: Cleanup, name: string): Promise<{ name: string; address: string }> {
  const address = loopback();
  const sleep = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(PROGRAM, { eval: true, workerData: { host: address, port: NODE_PORT, sleep } });
  cleanup.add(() => worker.terminate());
  await once(worker, 'message');
  await until(async () => {
    const filler = connect({ host: address, port: NODE_PORT });
    filler.on('error', () => {});
    cleanup.add(() => filler.destroy());
    const answered = once(filler, 'connect').then(() => true);
    return !(await Promise.race([answered, new Promise((resolve) => setTimeout(() => resolve(false), 100))]));
  }, 'the queue is full');
  return { name, address };
}
