/** The leader dies, ends or sleeps while Services are being made; another process takes over. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from '#src/kube/wire';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { patchOfService } from '#test/chaos/api-server';
import { CLOUD } from '#test/chaos/cloud-provider';
import { CloudServer } from '#test/chaos/cloud-server';
import { isProgrammed, useCluster, type Namespace } from '../service/cluster.ts';
import { waitFor } from '../service/wait.ts';
import { DEFAULT_TIMES, holdAnswer, PATIENCE, Replica, SHORT_TIMES, type Times } from './replica.ts';

const cluster = useCluster();
/** Enough for the longest test; each answer of the cloud lists all of them. */
const ADDRESSES = Array.from({ length: 250 }, (_, index) => `198.18.0.${index}`);
/** Between two new Services. */
const PACE_MS = 500;
/** What is promised on top of the lease duration, and for an end in order. */
const PROMISED_MS = 2_000;
/** A pause of the machine spoils one of so many handovers; what the controller itself does wrong spoils all. */
const TRIES = 3;
/** A slow machine may take longer, by so many times what it takes to serve one more Service. */
const SERVICES_LATE = 5;
/** Of a test, on a machine that does ten other things. */
const LONGEST_MS = 600_000;

let cloud: CloudServer;
let namespace: Namespace;
let replicas: Replica[];
/** Services of the present test. */
let made: number;

beforeAll(() => cluster.createNode({ metadata: { name: 'n1' }, status: { addresses: [NODE] } }));
const NODE = { type: 'InternalIP', address: '127.1.0.1' } as const;

beforeEach(async () => {
  cloud = await CloudServer.start(ADDRESSES);
  namespace = await cluster.namespace('takeover');
  replicas = [];
  made = 0;
});
afterEach(async () => {
  for (const replica of replicas) await replica[Symbol.asyncDispose]();
  await cloud.close();
  await forgetServices();
});

async function start({ flags }: Times): Promise<Replica> {
  // Each test has a Lease of its own, so that none waits for one that another left.
  const all = [...flags, '--leader-elect-name', namespace.name];
  const replica = await Replica.start(cluster, { flags: all, cloudUrl: cloud.url });
  replicas.push(replica);
  return replica;
}

async function startBoth(times: Times): Promise<readonly [leader: Replica, follower: Replica]> {
  const leader = await start(times);
  await leader.untilLeading();
  return [leader, await start(times)];
}

function create(name: string): Promise<unknown> {
  return namespace.create(name, { spec: { loadBalancerClass: CLOUD.loadBalancerClass } });
}

/** Waits until every Service of the test has what it asks for, by whomever. */
async function untilAllServed(): Promise<readonly Service[]> {
  let waiting: readonly Service[] = [];
  const ask = async (): Promise<readonly Service[] | undefined> => {
    const path = `/api/v1/namespaces/${namespace.name}/services`;
    const { items } = await cluster.plane.request<{ readonly items: readonly Service[] }>('GET', path);
    waiting = items.filter((service) => !isProgrammed(service));
    return waiting.length === 0 ? items : undefined;
  };
  const hint = (): string =>
    `\nwaiting: ${JSON.stringify(waiting.map(({ metadata, status }) => [metadata.name, status]))}`;
  return waitFor('all Services to be served', ask, { timeoutMs: PATIENCE.timeoutMs, intervalMs: 200, hint });
}

/** Deletes the Services of the test for good, so that the replicas of the next one have no work with them. */
async function forgetServices(): Promise<void> {
  const path = `/api/v1/namespaces/${namespace.name}/services`;
  await cluster.plane.request('DELETE', path);
  const { items } = await cluster.plane.request<{ readonly items: readonly Service[] }>('GET', path);
  const release = { metadata: { finalizers: null } };
  await Promise.all(items.map(({ metadata: { name } }) => cluster.plane.request('PATCH', `${path}/${name}`, release)));
}

/** Makes Services until it is told to end. */
function load(): { end(): Promise<void> } {
  const stop = new AbortController();
  const running = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      made += 1;
      await create(`s${made}`);
      await delay(PACE_MS, undefined, { signal: stop.signal }).catch(() => {});
    }
  })();
  // Whoever ends it hears of it.
  running.catch(() => {});
  return {
    async end() {
      stop.abort();
      await running;
    },
  };
}

/** Ends the leader under load, and says how long it took until the next one wrote a status. */
async function handOver(leader: Replica, follower: Replica, end: () => Promise<unknown>): Promise<Handover> {
  const written = leader.statusWrites.length;
  const services = load();
  await leader.until('statuses to be written', async () => leader.statusWrites.length > written + 5);
  expect(follower.statusWrites).toEqual([]);
  const serviceMs = await timeToServe();
  const endedAt = performance.now();
  const ended = end();
  await follower.until('the follower to write a status', async () => follower.statusWrites.length > 0);
  const [firstAt = Number.NaN] = follower.statusWrites;
  await services.end();
  await ended;
  const served = await untilAllServed();
  expect(cloud.cloud.complaints).toEqual([]);
  expect(cloud.cloud.describe().balancers).toHaveLength(served.length);
  return { serviceMs, tookMs: firstAt - endedAt, sinceRenewalMs: firstAt - (leader.renewedAt ?? Number.NaN) };
}

/** How long the leader takes to serve one more Service, beside all the others. */
async function timeToServe(): Promise<number> {
  made += 1;
  const name = `s${made}`;
  const startedAt = performance.now();
  await create(name);
  await namespace.until(name, 'to be served', isProgrammed, PATIENCE.timeoutMs);
  return performance.now() - startedAt;
}

interface Handover {
  /** From the creation of a Service to its status, shortly before. */
  readonly serviceMs: number;
  readonly tookMs: number;
  /** From the last renewal of the old leader. */
  readonly sinceRenewalMs: number;
}

function report(what: string, { tookMs, sinceRenewalMs, serviceMs }: Handover): void {
  const inSeconds = (ms: number): string => (ms / 1_000).toFixed(2);
  const text = `${inSeconds(tookMs)} s to the next status, ${inSeconds(sinceRenewalMs)} s after the last renewal`;
  console.info(`${what}: ${text}; a Service took ${inSeconds(serviceMs)} s`);
}

/** Replicas that lead one after the other, each with the next one waiting. */
class Succession {
  readonly #times: Times;
  #leader: Replica;
  #follower: Replica;

  private constructor(times: Times, leader: Replica, follower: Replica) {
    this.#times = times;
    this.#leader = leader;
    this.#follower = follower;
  }

  static async start(times: Times): Promise<Succession> {
    return new Succession(times, ...(await startBoth(times)));
  }

  /**
   * Ends the leaders, one after the other, until one is followed as soon as is promised. Gives by how much the quickest
   * handover came too late, in milliseconds: below 0 where the promise is kept.
   */
  async lateness(promisedMs: number, what: string, ways: Ways): Promise<number> {
    const late: number[] = [];
    for (let tries = 0; tries < TRIES; tries += 1) {
      const leader = this.#leader;
      const handover = await handOver(leader, this.#follower, () => ways.end(leader));
      report(`${what}, lease duration ${this.#times.leaseMs} ms`, handover);
      ways.check?.(handover);
      this.#leader = this.#follower;
      this.#follower = await start(this.#times);
      late.push(handover.tookMs - promisedMs - SERVICES_LATE * handover.serviceMs);
      if (late.some((ms) => ms < 0)) break;
    }
    return Math.min(...late);
  }
}

interface Ways {
  readonly end: (leader: Replica) => Promise<unknown>;
  /** What must hold for every handover. */
  readonly check?: (handover: Handover) => void;
}

/** By SIGKILL: not before the Lease has run out may the next one write. */
function killed({ leaseMs }: Times): Ways {
  return {
    end: (leader) => leader.process.kill(),
    check: ({ sinceRenewalMs }) => expect(sinceRenewalMs).toBeGreaterThanOrEqual(leaseMs),
  };
}

const IN_ORDER: Ways = {
  end: async (leader) => expect(await leader.process.terminate()).toEqual({ code: 0, signal: null }),
};

describe('a leader that ends under load', () => {
  it(
    'is followed once its Lease has run out when it was killed, at once when it ended in order',
    async () => {
      const succession = await Succession.start(DEFAULT_TIMES);
      const promised = DEFAULT_TIMES.leaseMs + PROMISED_MS;
      expect(await succession.lateness(promised, 'killed', killed(DEFAULT_TIMES))).toBeLessThan(0);
      expect(await succession.lateness(PROMISED_MS, 'SIGTERM', IN_ORDER)).toBeLessThan(0);
    },
    LONGEST_MS,
  );

  it(
    'is followed sooner where the Lease is shorter',
    async () => {
      const succession = await Succession.start(SHORT_TIMES);
      const promised = SHORT_TIMES.leaseMs + PROMISED_MS;
      expect(await succession.lateness(promised, 'killed', killed(SHORT_TIMES))).toBeLessThan(0);
    },
    LONGEST_MS,
  );
});

describe('a leader that slept through its Lease', () => {
  it(
    'writes nothing when it wakes, also where it was in the midst of something, and ends',
    async () => {
      const [leader, follower] = await startBoth(SHORT_TIMES);
      if (!leader.cloud) throw new Error('it works with the cloud');
      // When it falls asleep, a target group and a finalizer of its are there of which it has not heard yet.
      const inStep = holdAnswer(leader.cloud, ({ path }) => path === '/createTargetGroup');
      const inPatch = holdAnswer(leader.api, patchOfService(`${namespace.name}/patched`, 'status'));
      await create('stepped');
      await create('patched');
      await leader.until('it to be in the midst of both', async () => inStep.isHeld() && inPatch.isHeld());
      leader.process.pause();
      inStep.letGo();
      inPatch.letGo();
      const services = load();
      await follower.untilLeading();
      await services.end();
      await untilAllServed();
      const before = cloud.cloud.describe();

      const mark = leader.mark();
      leader.process.resume();
      expect(await leader.process.exited).toEqual({ code: 1, signal: null });
      expect(leader.writesSince(mark)).toEqual([]);
      expect(cloud.cloud.describe()).toEqual(before);
      expect(cloud.cloud.complaints).toEqual([]);
      const [line = ''] = leader.process.linesAbout('the controller ends because of a failure');
      expect(JSON.parse(line)).toMatchObject({ error: { code: 'NotLeader' } });
    },
    LONGEST_MS,
  );
});
