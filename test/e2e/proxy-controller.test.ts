/** The controller itself comes, goes, dies and loses the API server, while its addresses are in use. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningBallast, startBallast } from '#test/lab/ballast';
import type { LabMachine } from '#test/lab/machine';
import { connectFailures, describeLoad, fetchOnce, Load } from '#test/lab/traffic';
import { waitFor } from '#test/lab/wait';
import { withoutApiServer } from './api-outage.ts';
import { addressesOf, createService, type LabService } from './service.ts';
import { interfaceAddresses, metric, useLab } from './support.ts';

/** Renewals must get through on a machine that does much else. */
const LEASE_SECONDS = 8;
const LEASE = [
  ['--leader-elect-lease-duration', `${LEASE_SECONDS}s`],
  ['--leader-elect-renew-deadline', '6s'],
  ['--leader-elect-retry-period', '500ms'],
].flat();

const world = useLab({ nodes: 2, machines: [{ name: 'edge' }, { name: 'edge2' }, { name: 'client' }] });
let web: LabService;
let address: string;
/** What the present test has started. */
const running = new Set<RunningBallast>();

beforeAll(async () => {
  const { lab } = world;
  await lab.deployNetexec({ name: 'web', replicas: 2 });
  const ballast = await startBallast(lab, world.machine('edge'), { flags: LEASE });
  web = await createService(lab, 'web', 'web');
  address = await web.address();
  await ballast.stop();
});

afterEach(async () => {
  await Promise.all([...running].map((ballast) => ballast.stop()));
  running.clear();
});

async function start(machine: string, flags: readonly string[] = LEASE): Promise<RunningBallast> {
  const ballast = await startBallast(world.lab, world.machine(machine), { flags });
  running.add(ballast);
  return ballast;
}

const url = (): string => `http://${address}/hostname`;

async function untilAnswering(within = 30_000): Promise<void> {
  const check = (): Promise<string> => fetchOnce(world.machine('client'), url(), 3);
  await waitFor({ what: `${address} to answer`, timeoutMs: within, check });
}

/** Whether one of the lab's addresses for load balancers is on a machine's interface. */
async function holdsAddress(machine: LabMachine, wanted: string = address): Promise<boolean> {
  return (await interfaceAddresses(machine)).includes(wanted);
}

describe('the controller', () => {
  it('keeps the address over a restart in order, which interrupts new connections only while it is away', async () => {
    const first = await start('edge');
    await untilAnswering();
    const load = await Load.start(world.machine('client'), { url: url(), rate: 50, timeoutMs: 3_000 });
    await delay(1_000);
    const exit = await first.stop();
    expect(exit).toEqual({ code: 0, signal: null });
    expect(await holdsAddress(world.machine('edge')), 'address left on the interface').toBe(false);
    await start('edge');
    await untilAnswering();
    await delay(1_000);
    const summary = await load.finish();
    world.report(`controller restarts in order: ${describeLoad(summary)}`);
    expect(summary.longestGapMs, 'longest time without an answer').toBeLessThan(15_000);
    // One that the kernel took in the very moment the socket closed is reset: see `acceptsPending` in the engine.
    const broken = summary.sent - summary.succeeded - connectFailures(summary);
    expect(broken, 'failures that are not about connecting').toBeLessThanOrEqual(1);
    expect(await web.address()).toBe(address);
  });

  it('finishes the requests under way before it ends', async () => {
    const ballast = await start('edge');
    await untilAnswering();
    const slow = `http://${address}/shell?shellCommand=${encodeURIComponent('sleep 4; echo done')}`;
    const answer = fetchOnce(world.machine('client'), slow, 30);
    await waitFor({
      what: 'the request to be under way',
      timeoutMs: 30_000,
      check: async () => ((await metric(ballast, 'ballast_proxy_active_connections', {})) > 0 ? true : undefined),
    });
    const stopping = ballast.stop();
    expect(await answer).toContain('done');
    expect((await stopping).code).toBe(0);
  });

  it('leaves no address behind: not when killed and started again, not for a Service that went meanwhile', async () => {
    const edge = world.machine('edge');
    const killed = await start('edge');
    await untilAnswering();
    const gone = await createService(world.lab, 'gone', 'web');
    const goneAddress = await gone.address();
    killed.process.signal('SIGKILL');
    await killed.process.exited;
    running.delete(killed);
    expect(await holdsAddress(edge), 'the address of a killed controller').toBe(true);
    // The finalizer is ours, so the Service stays until a controller has cleaned up.
    await world.lab.request('DELETE', '/api/v1/namespaces/default/services/gone');

    const next = await start('edge');
    await untilAnswering();
    await waitFor({
      what: 'the address of the deleted Service to be taken off',
      timeoutMs: 30_000,
      check: async () => ((await holdsAddress(edge, goneAddress)) ? undefined : true),
    });
    expect(await web.address()).toBe(address);
    await next.stop();
    running.delete(next);
    expect(await interfaceAddresses(edge), 'addresses after the end').toEqual([edge.addresses.IPv4]);
  });

  it('takes listener and address away when the Service turns into a ClusterIP, and gives them back', async () => {
    await start('edge');
    const service = await createService(world.lab, 'turning', 'web');
    const itsAddress = await service.address();
    const ask = (): Promise<string> => fetchOnce(world.machine('client'), `http://${itsAddress}/hostname`, 2);
    await waitFor({ what: 'an answer', timeoutMs: 30_000, check: ask });

    await service.patchSpec({ type: 'ClusterIP', loadBalancerClass: null });
    const plain = await service.until(
      'to be no load balancer',
      ({ metadata, status }) => !metadata.finalizers?.length && !status?.loadBalancer?.ingress?.length,
    );
    expect(plain.status?.conditions ?? []).toEqual([]);
    expect(await holdsAddress(world.machine('edge'), itsAddress)).toBe(false);
    await expect(ask()).rejects.toThrow('failed with code');

    await service.patchSpec({ type: 'LoadBalancer', loadBalancerClass: 'ballast.dev/proxy' });
    expect(await service.address()).toBe(itsAddress);
    await waitFor({ what: 'an answer again', timeoutMs: 30_000, check: ask });
    await service.delete();
  });

  it('serves a Service without selector, whose endpoints somebody wrote by hand', async () => {
    const { lab } = world;
    await start('edge');
    const { IPv4: own = '' } = world.machine('edge2').addresses;
    const program = `require('http').createServer((_, answer) => answer.end('by hand')).listen(9000, '${own}')`;
    const server = await world.machine('edge2').spawn(process.execPath, ['--eval', program], { name: 'by-hand' });
    await lab.request('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
      metadata: { name: 'by-hand', labels: { 'kubernetes.io/service-name': 'by-hand' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [own], conditions: { ready: true } }],
      ports: [{ port: 9_000, protocol: 'TCP' }],
    });
    const service = await createService(lab, 'by-hand', 'nobody', {
      spec: { selector: {}, ports: [{ port: 80, targetPort: 9_000 }] },
    });
    const itsAddress = await service.address();
    const answer = await waitFor({
      what: 'the program to answer',
      timeoutMs: 30_000,
      check: () => fetchOnce(world.machine('client'), `http://${itsAddress}/`, 2),
    });
    expect(answer).toBe('by hand');
    await service.delete();
    await server.stop();
  });

  it('leaves Services alone that are none of its business', async () => {
    const { lab } = world;
    await start('edge');
    const others = await Promise.all([
      createService(lab, 'other-cluster-ip', 'web', { spec: { type: 'ClusterIP' } }),
      createService(lab, 'other-headless', 'web', { spec: { type: 'ClusterIP', clusterIP: 'None' } }),
      createService(lab, 'other-node-port', 'web', { spec: { type: 'NodePort' } }),
      createService(lab, 'other-name', 'web', { spec: { type: 'ExternalName', externalName: 'example.com' } }),
      createService(lab, 'other-class', 'web', { spec: { loadBalancerClass: 'example.com/other' } }),
    ]);
    const before = await Promise.all(others.map((service) => service.get()));
    // Whoever came after them has been served, so they have been looked at.
    const service = await createService(lab, 'ours', 'web');
    await service.address();
    await delay(1_000);
    expect(await Promise.all(others.map((each) => each.get()))).toEqual(before);
    for (const each of [...others, service]) await each.delete();
  });
});

describe('two replicas on two machines', () => {
  /** Starts both and says which one leads. */
  async function startBoth(): Promise<readonly [leader: RunningBallast, follower: RunningBallast]> {
    const leader = await start('edge');
    await untilAnswering();
    const follower = await start('edge2');
    await delay(1_000);
    expect(await holdsAddress(follower.machine), 'address on the machine of the follower').toBe(false);
    return [leader, follower];
  }

  async function untilTakenOver({ machine }: RunningBallast): Promise<void> {
    await waitFor({
      what: `${machine.name} to have the address`,
      timeoutMs: (LEASE_SECONDS + 15) * 1_000,
      check: async () => ((await holdsAddress(machine)) ? true : undefined),
    });
  }

  it('hand the address over when the leader ends in order', async () => {
    const [leader, follower] = await startBoth();
    const load = await Load.start(world.machine('client'), { url: url(), rate: 50, timeoutMs: 1_000 });
    await delay(500);
    await leader.stop();
    await untilTakenOver(follower);
    expect(await holdsAddress(leader.machine)).toBe(false);
    await untilAnswering();
    await delay(1_000);
    const summary = await load.finish();
    world.report(`leader ends, another machine takes over: ${describeLoad(summary)}`);
    expect(summary.longestGapMs, 'longest time without an answer').toBeLessThan((LEASE_SECONDS + 10) * 1_000);
    expect(addressesOf(await web.get())).toEqual([address]);
  });

  it('hand the address over when the leader’s machine dies', async () => {
    const [leader, follower] = await startBoth();
    const load = await Load.start(world.machine('client'), { url: url(), rate: 50, timeoutMs: 1_000 });
    await delay(500);
    await leader.machine.cutOff();
    await untilTakenOver(follower);
    await untilAnswering();
    await delay(1_000);
    const summary = await load.finish();
    world.report(`leader’s machine is cut off, another takes over: ${describeLoad(summary)}`);
    expect(summary.longestGapMs, 'longest time without an answer').toBeLessThan((LEASE_SECONDS + 20) * 1_000);
    // Alone, the old leader cannot renew the Lease: it ends and gives the address up.
    expect((await leader.process.exited).code, 'exit code of a leader that lost its Lease').not.toBe(0);
    running.delete(leader);
    await waitFor({
      what: 'the old leader’s machine to have given the address up',
      timeoutMs: 30_000,
      check: async () => ((await holdsAddress(leader.machine)) ? undefined : true),
    });
    await leader.machine.heal();
    await untilAnswering();
  });
});

describe('the controller without an API server', () => {
  it('serves on as long as its Lease lasts, and works again when the API server is back', async () => {
    const { lab } = world;
    const lease = ['--leader-elect-lease-duration=60s', '--leader-elect-renew-deadline=50s'];
    const ballast = await start('edge', lease);
    await untilAnswering();
    const load = await Load.start(world.machine('client'), { url: url() });
    await withoutApiServer(lab, () => delay(5_000));
    const service = await createService(lab, 'after', 'web');
    const other = `http://${await service.address()}/hostname`;
    // kube-proxy has to come back as well.
    const check = (): Promise<string> => fetchOnce(world.machine('client'), other);
    await waitFor({ what: 'the Service of afterwards to answer', timeoutMs: 40_000, check });
    const summary = await load.finish();
    world.report(`API server away for more than 5 s: ${describeLoad(summary)}`);
    expect(summary.failures).toEqual({});
    expect(ballast.process.exit, 'end of the controller').toBeUndefined();
    await service.delete();
  });
});
