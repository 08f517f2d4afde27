/**
 * One suite for every provider whose load balancers outlive the process: for each kind of plan, the controller is
 * killed (SIGKILL) before the first and after each of its effects and before each write to a Service, and another
 * process must bring about what an undisturbed one does, and serve who came meanwhile. Effects are all requests that
 * change Services or the outside. A provider's test file calls `testKills` once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { warmUp } from '#test/chaos/controller-process';
import type { KillPoint, Watch } from '#test/chaos/kill-switch';
import { API_SERVER, Lanes, type Lane } from './lane.ts';
import type { KillTestOptions } from './outside.ts';
import type { Place } from './place.ts';
import { PLAN_KINDS, type PlanKind } from './plans.ts';
import type { Scene } from './scene.ts';
import { takeSnapshot } from './snapshot.ts';

/** All cases of one kind, on a slow machine, and the wait for a lane. */
const TEST_TIMEOUT_MS = 30 * 60_000;

/** How long nothing more must happen for a run to count as over. */
const QUIET_MS = 400;

/** Nobody has that many effects; it ends a run that would never. */
const MOST_EFFECTS = 100;

interface Run {
  readonly snapshot: readonly string[];
  readonly effects: readonly string[];
  readonly killed: boolean;
}

export function testKills(options: KillTestOptions): void {
  describe.concurrent(`a controller of ${options.provider} that is killed at any effect is made good by the next when`, () => {
    const lanes = new Lanes(options);
    beforeAll(() => warmUp(options.program), TEST_TIMEOUT_MS);
    afterAll(() => lanes.close());

    it.each(Object.entries(PLAN_KINDS))('%s', { timeout: TEST_TIMEOUT_MS }, async (name, kind) => {
      await lanes.use(async (lane) => {
        const undisturbed = await play(lane, kind);
        expect(undisturbed.effects.length, `effects:\n${undisturbed.effects.join('\n')}`).toBeGreaterThanOrEqual(
          options.leastEffects[name] ?? Infinity,
        );
        for (const point of pointsBefore(undisturbed)) await play(lane, kind, point, undisturbed.snapshot);
        for (let effect = 1, killed = true; killed; effect += 1) {
          ({ killed } = await play(lane, kind, { effect, moment: 'after' }, undisturbed.snapshot));
        }
      });
    });
  });
}

/**
 * Before the first effect and before each write to a Service. Before any other effect is, for all that outlives the
 * process, after the one before it.
 */
function pointsBefore({ effects }: Run): readonly KillPoint[] {
  const writes = effects.filter((effect) => effect.startsWith(API_SERVER));
  return [
    { effect: 1, moment: 'before' },
    ...writes.map((_, index): KillPoint => ({ effect: index + 1, moment: 'before', gate: API_SERVER })),
  ];
}

/** Plays one case from its beginning to an empty end. `expected` is the snapshot to wait for, where it is known. */
async function play(lane: Lane, kind: PlanKind, point?: KillPoint, expected?: readonly string[]): Promise<Run> {
  const { before, change, after, meanwhile } = kind;
  const place = await lane.newPlace();
  if (before) {
    await before.make(place);
    await place.until(before.scene, 'before the change');
  }
  const watch = lane.killSwitch.arm(point, () => lane.killController());
  await change(place);
  await untilOver(place, after, watch);
  lane.killSwitch.disarm();
  await meanwhile?.make(place);
  await place.create(BYSTANDER, [7777]);
  if (watch.hasKilled) lane.startController();
  const where = watch.hasKilled ? `killed ${point?.moment} ${watch.effects.at(-1)}` : 'not killed';
  await place.until(withBystander(meanwhile?.scene ?? after), where);
  if (expected !== undefined) await untilSnapshot(place, expected, where);
  const snapshot = await takeSnapshot(place);
  await place.clear(where);
  expect(lane.outside.complaints(), `complaints, ${where}`).toEqual([]);
  return { snapshot, effects: watch.effects, killed: watch.hasKilled };
}

async function untilSnapshot(place: Place, expected: readonly string[], where: string): Promise<void> {
  await place.wait(`the same end as undisturbed, ${where},`, async () =>
    expect(await takeSnapshot(place), `the end, ${where}`).toEqual(expected),
  );
}

/** Waits until the process was killed, or until all is as it must be and nothing happens any more. */
async function untilOver(place: Place, after: Scene, watch: Watch): Promise<void> {
  let seen = -1;
  while (!watch.hasKilled && (watch.isBusy || watch.effects.length !== seen)) {
    await place.until(after, 'not killed yet', () => watch.hasKilled);
    seen = watch.effects.length;
    expect(seen, `effects:\n${watch.effects.join('\n')}`).toBeLessThan(MOST_EFFECTS);
    if (!watch.hasKilled) await sleep(QUIET_MS);
  }
  if (watch.hasKilled) await watch.killed;
}

/** A Service that has nothing to do with the case. */
const BYSTANDER = 'bystander';

function withBystander(scene: Scene): Scene {
  const bystander = { [`service/${BYSTANDER}`]: { [BYSTANDER]: [7777] } };
  return { ...scene, loadBalancers: { ...scene.loadBalancers, ...bystander } };
}
