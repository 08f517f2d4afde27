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
  let unanswered = 0;
  await until(async () => {
    unanswered = (await isAnswered(cleanup, address)) ? 0 : unanswered + 1;
    return unanswered === ENOUGH;
  }, 'the queue is full');
  return { name, address };
}

/** Attempts in a row that nobody answers: a single one may only mean that this process was late to hear of the answer. */
const ENOUGH = 3;

async function isAnswered(cleanup: Cleanup, host: string): Promise<boolean> {
  const filler = connect({ host, port: NODE_PORT });
  filler.on('error', () => {});
  cleanup.add(() => filler.destroy());
  let isConnected = false;
  filler.once('connect', () => (isConnected = true));
  await new Promise((resolve) => setTimeout(resolve, 300));
  // An answer that came during a stall is heard of after the timers that fell due in it.
  for (let turns = 0; turns < 2; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  return isConnected;
}
