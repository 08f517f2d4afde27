import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy, type Match } from '#test/chaos/fault-proxy';
import { KillSwitch, type KillPoint } from '#test/chaos/kill-switch';
import { startOrigin, type Origin } from './origin.ts';

const isWrite: Match = ({ method }) => method === 'POST';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each[Symbol.asyncDispose]();
});

let cluster: { readonly origin: Origin; readonly proxy: FaultProxy };
let cloud: typeof cluster;
let killSwitch: KillSwitch;
beforeEach(async () => {
  [cluster, cloud] = [await startServer(), await startServer()];
  killSwitch = new KillSwitch([
    { name: 'cluster', proxy: cluster.proxy, isEffect: isWrite },
    { name: 'cloud', proxy: cloud.proxy, isEffect: isWrite },
  ]);
});

async function startServer(): Promise<typeof cluster> {
  const origin = await startOrigin();
  const proxy = await FaultProxy.start({ target: origin.url });
  opened.push(origin, proxy);
  return { origin, proxy };
}

async function send({ proxy }: typeof cluster, path: string, method = 'POST'): Promise<'answered' | 'lost'> {
  try {
    await (await fetch(proxy.url + path, { method })).text();
    return 'answered';
  } catch {
    return 'lost';
  }
}

/** A process that writes to both servers by turns: /1 and /3 to the cluster, /2 and /4 to the cloud. */
async function writeFour(): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const [index, server] of [cluster, cloud, cluster, cloud].entries()) {
    answers.push(await send(server, `/${index + 1}`));
    if (answers.at(-1) === 'lost') break;
  }
  return answers;
}

function arrived(): readonly string[] {
  return [...cluster.origin.arrived, ...cloud.origin.arrived].toSorted();
}

describe('a switch without a point', () => {
  it('kills nobody, and tells the effects in their order', async () => {
    const watch = killSwitch.arm();
    expect(await send(cluster, '/read', 'GET')).toBe('answered');
    expect(await writeFour()).toEqual(Array(4).fill('answered'));
    expect(watch.effects).toEqual(['cluster: POST /1', 'cloud: POST /2', 'cluster: POST /3', 'cloud: POST /4']);
    expect(watch).toMatchObject({ hasKilled: false, isBusy: false });
  });
});

describe('a switch at its point', () => {
  const cases: readonly (KillPoint & { readonly carriedOut: number; readonly answered: number })[] = [
    { moment: 'before', effect: 1, carriedOut: 0, answered: 0 },
    { moment: 'after', effect: 1, carriedOut: 1, answered: 0 },
    { moment: 'before', effect: 3, carriedOut: 2, answered: 2 },
    { moment: 'after', effect: 4, carriedOut: 4, answered: 3 },
    { moment: 'before', effect: 2, gate: 'cloud', carriedOut: 3, answered: 3 },
    { moment: 'after', effect: 1, gate: 'cloud', carriedOut: 2, answered: 1 },
  ];
  it.each(cases)('kills $moment effect $effect (gate: $gate)', async ({ carriedOut, answered, ...point }) => {
    let killed = 0;
    const watch = killSwitch.arm(point, async () => void (killed += 1));
    const answers = await writeFour();
    await watch.killed;
    expect(killed).toBe(1);
    expect(answers).toEqual([...Array(answered).fill('answered'), 'lost']);
    expect(arrived()).toEqual(['POST /1', 'POST /2', 'POST /3', 'POST /4'].slice(0, carriedOut));
  });

  it('lets nothing arrive that a dying process sends besides, and all that its successor sends', async () => {
    const dead = Promise.withResolvers<void>();
    const dying = Promise.withResolvers<void>();
    const watch = killSwitch.arm({ effect: 1, moment: 'after' }, () => {
      dying.resolve();
      return dead.promise;
    });
    const fatal = send(cluster, '/fatal');
    await dying.promise;
    expect(watch.hasKilled).toBe(true);
    expect(await send(cloud, '/other')).toBe('lost');
    dead.resolve();
    await watch.killed;
    expect(await fatal).toBe('lost');
    expect(await send(cloud, '/successor')).toBe('answered');
    expect(arrived()).toEqual(['POST /fatal', 'POST /successor']);
    expect(watch.effects).toEqual(['cluster: POST /fatal']);
  });

  it('kills nobody where it is never reached', async () => {
    const watch = killSwitch.arm({ effect: 5, moment: 'before' }, () => Promise.reject(new Error('killed')));
    expect(await writeFour()).toEqual(Array(4).fill('answered'));
    expect(watch.hasKilled).toBe(false);
  });
});

describe('a switch that was disarmed', () => {
  it('lets everything pass', async () => {
    const watch = killSwitch.arm({ effect: 1, moment: 'before' }, () => Promise.reject(new Error('killed')));
    killSwitch.disarm();
    expect(await writeFour()).toEqual(Array(4).fill('answered'));
    expect(watch.effects).toEqual([]);
  });
});
