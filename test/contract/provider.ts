/**
 * One suite for every provider: what the comments of `src/loadbalancer/provider.ts` promise, tested through the port
 * alone and checked against what is really reachable. A provider's test file calls `testProvider` once and adds what
 * is its own.
 */
import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { classify, isAbort } from '#src/errors';
import { keyOf } from '#src/loadbalancer/identity';
import type { DesiredLoadBalancer, LoadBalancerId } from '#src/loadbalancer/model';
import { desiredArbitrary } from '../fakes/arbitraries.ts';
import { desiredLoadBalancer, groupId, loopbackNodes, member, serviceId } from '../fakes/builders.ts';
import { Cluster, MOMENTS, applyInterrupted, context, summaries, within, type Moment } from './cluster.ts';
import type { ContractOptions, Harness } from './harness.ts';
import { CHANGES, STATES, type Change, type Offer } from './states.ts';

/** A load balancer that nothing in the test is about and that must never be touched. */
const BYSTANDER = desiredLoadBalancer({
  id: serviceId('bystander'),
  members: [member({ name: 'bystander', listeners: [{ port: 9_000 }, { port: 9_001 }] })],
  nodes: loopbackNodes(2),
});

export function testProvider<H extends Harness>(options: ContractOptions<H>): void {
  describe(`the provider contract, held by ${options.name}`, () => {
    const open: H[] = [];
    afterEach(async () => {
      for (const harness of open.splice(0)) await harness.close();
    });
    const start = async (): Promise<{ harness: H; cluster: Cluster; offer: Offer }> => {
      const harness = await options.create();
      open.push(harness);
      return {
        harness,
        cluster: new Cluster(harness),
        offer: { addresses: harness.addresses, capabilities: harness.provider.capabilities },
      };
    };
    const finish = async (harness: H): Promise<void> => {
      open.splice(open.indexOf(harness), 1);
      await harness.close();
    };
    const test = namedTests(options);

    for (const [name, state] of Object.entries(STATES)) {
      test(`reaches and leaves: ${name}`, async () => {
        const { harness, cluster, offer } = await start();
        await cluster.verify();
        await cluster.set(BYSTANDER);
        const desired = state(offer);
        const { plan } = await cluster.set(desired);
        expect(plan.refusals).toEqual([]);
        await cluster.verify();
        await cluster.remove(desired.id);
        await cluster.verify();
        await cluster.remove(BYSTANDER.id);
        await cluster.verify();
        expect(await harness.reachable()).toEqual([]);
      });
    }

    for (const [name, change] of Object.entries(CHANGES)) {
      test(`converges, and again when every step is applied twice: ${name}`, async () => {
        const { cluster, offer } = await start();
        const id = await prepare(cluster, change, offer);
        wantAfter(cluster, change, offer, id);
        const { plan } = await cluster.look(id);
        if (change.additive) expect(plan.steps.filter((step) => step.impact !== 'none')).toEqual([]);
        for (const step of plan.steps) {
          await cluster.provider.apply(step, context());
          await cluster.provider.apply(step, context());
        }
        await cluster.verify();
        for (const step of plan.steps) await cluster.provider.apply(step, context());
        await cluster.settle();
        await cluster.verify();
      });

      test(`loses nothing that is still wanted to a step that fails: ${name}`, async () => {
        for (let index = 0, more = true; more; index += 1) {
          const { harness, cluster, offer } = await start();
          const id = await prepare(cluster, change, offer);
          wantAfter(cluster, change, offer, id);
          const lost = await cluster.failing(id, index);
          more = lost !== undefined;
          if (more) {
            expect(lost, `ports lost when step ${index + 1} fails`).toEqual([]);
            await cluster.settle();
            await cluster.verify();
          }
          await finish(harness);
        }
      });

      for (const recovery of ['the next pass', 'a restart'] as const) {
        test(`is made whole by ${recovery} after an interruption at any step: ${name}`, async () => {
          for (const moment of MOMENTS) {
            for (let index = 0, more = true; more; index += 1) {
              more = await interrupted(index, moment, recovery, change);
              expect(index, 'steps in one plan').toBeLessThan(100);
            }
          }
        });
      }
    }

    /** Returns whether the plan had a step of this index. */
    async function interrupted(index: number, moment: Moment, recovery: string, change: Change): Promise<boolean> {
      const { harness, cluster, offer } = await start();
      const id = await prepare(cluster, change, offer);
      wantAfter(cluster, change, offer, id);
      const more = await cluster.interrupt(id, index, moment);
      if (more) {
        if (recovery === 'a restart') await cluster.restart();
        await cluster.settle();
        await cluster.verify();
      }
      await finish(harness);
      return more;
    }

    for (const { name, inflict } of options.damage) {
      test(`repairs ${name}`, async () => {
        const { harness, cluster } = await start();
        await cluster.set(BYSTANDER);
        const victim = desiredLoadBalancer({
          members: [member({ listeners: [{ port: 80 }, { port: 443 }] })],
          nodes: loopbackNodes(3),
        });
        await cluster.set(victim);
        const before = cluster.addresses(victim.id);
        await inflict(harness, victim);
        const { plan } = await cluster.look(victim.id);
        expect(summaries(plan), 'steps of repair').not.toEqual([]);
        await cluster.settle();
        await cluster.verify();
        expect(cluster.addresses(victim.id)).toEqual(before);
      });
    }

    test('keeps every address over a restart, whoever comes first', async () => {
      const { cluster } = await start();
      const all = ['a', 'b', 'c'].map((name) => simple(name));
      for (const desired of all) await cluster.set(desired);
      const before = all.map(({ id }) => cluster.addresses(id));
      await cluster.restart();
      await cluster.set(simple('newcomer'));
      for (const desired of all.toReversed()) await cluster.reconcile(desired.id);
      await cluster.verify();
      expect(all.map(({ id }) => cluster.addresses(id))).toEqual(before);
    });

    test('keeps the address through every change that does not ask for another', async () => {
      const { cluster, offer } = await start();
      await cluster.set(BYSTANDER);
      await cluster.set(simple('web'));
      const before = cluster.addresses(serviceId('web'));
      for (const name of ['several ports', 'Local policy', 'affinity, source ranges and settings', 'no node']) {
        const state = STATES[name];
        if (!state) throw new Error(`no state is called ${name}`);
        await cluster.set(state(offer));
        expect(cluster.addresses(serviceId('web')), `after: ${name}`).toEqual(before);
      }
    });

    test('is left alone by a second controller that only looks', async () => {
      const { harness, cluster } = await start();
      await cluster.set(BYSTANDER);
      await cluster.set(simple('web'));
      const before = await harness.reachable();
      const second = await harness.second();
      second.restore([]);
      for (const { id } of cluster.desired.values()) await cluster.look(id, second);
      await second.inventory(context());
      expect(await harness.reachable()).toEqual(before);
      await cluster.verify();
    });

    test('shows a second controller all that exists outside, and nothing of what lives in its own process', async () => {
      const { harness, cluster } = await start();
      await cluster.set(BYSTANDER);
      await cluster.set(simple('web'));
      const second = await harness.second();
      second.restore([...cluster.desired.values()].map(({ id }) => ({ id, addresses: cluster.addresses(id) })));
      const outside = harness.provider.capabilities.seenFromOutside;
      for (const { id } of cluster.desired.values()) {
        const { plan, observed } = await cluster.look(id, second);
        if (outside) expect(summaries(plan)).toEqual([]);
        else expect(second.holders(observed)).toEqual([]);
      }
      const [seen, made] = await Promise.all([second.inventory(context()), cluster.provider.inventory(context())]);
      if (outside) expect(seen).toEqual(made);
      else expect(seen.flatMap(({ members }) => members)).toEqual([]);
    });

    test('is not doubled or broken by a second controller that applies the same', async () => {
      const { harness, cluster } = await start();
      await cluster.set(BYSTANDER);
      await cluster.set(simple('web'));
      const before = await harness.reachable();
      const second = await harness.second();
      second.restore([...cluster.desired.values()].map(({ id }) => ({ id, addresses: cluster.addresses(id) })));
      for (const { id } of cluster.desired.values()) {
        const { plan } = await cluster.look(id, second);
        await Promise.allSettled(plan.steps.map((step) => second.apply(step, context())));
      }
      expect(await harness.reachable()).toEqual(before);
      await cluster.verify();
    });

    test('never gives two load balancers the same address and port when they are made at the same time', async () => {
      const { harness, cluster, offer } = await start();
      const names = offer.addresses.IPv4.map((_, index) => `at-once-${index}`);
      for (const name of names) cluster.want(simple(name));
      const outcomes = await Promise.allSettled(names.map((name) => cluster.reconcile(serviceId(name))));
      for (const outcome of outcomes.filter((each) => each.status === 'rejected')) {
        expect(classify(outcome.reason)).toMatchObject({ code: 'ClaimLost' });
      }
      const reachable = await harness.reachable();
      expect(reachable.length, 'addresses and ports without doubles').toBe(new Set(reachable).size);
      await cluster.settle();
      await cluster.verify();
    });

    test('refuses, by name, a load balancer for which no address is left, and serves it when one is freed', async () => {
      const { cluster, offer } = await start();
      const all = Array.from({ length: offer.addresses.IPv4.length + 1 }, (_, index) => simple(`nth-${index}`));
      const freed: string[] = [];
      cluster.provider.onChange((id) => freed.push(keyOf(id)));
      for (const desired of all) await cluster.set(desired);
      await cluster.verify();
      const [first, last] = [all[0], all.at(-1)];
      if (!first || !last) throw new Error('the harness has no IPv4 address');
      const { plan } = await cluster.look(last.id);
      expect(plan.refusals.map(({ member, code }) => ({ member, code }))).toEqual([
        { member: last.members[0]?.ref.uid, code: 'AddressPoolExhausted' },
      ]);
      await cluster.remove(first.id);
      const { plan: after } = await cluster.reconcile(last.id);
      expect(after.refusals).toEqual([]);
      await cluster.verify();
    });

    test('refuses, by name, an address that it does not have', async () => {
      const { cluster } = await start();
      const desired = { ...simple('web'), requestedAddresses: ['192.0.2.77'] };
      const { plan } = await cluster.set(desired);
      expect(plan.refusals.map(({ member, code }) => ({ member, code }))).toEqual([
        { member: 'uid-web', code: 'AddressNotInPool' },
      ]);
      expect(plan.refusals[0]?.message).toContain('192.0.2.77');
      await cluster.verify();
    });

    test('refuses, by name, an address that another load balancer holds, and gives it when it is free', async () => {
      const { cluster } = await start();
      await cluster.set(simple('holder'));
      const [address = ''] = cluster.addresses(serviceId('holder'));
      const desired = { ...simple('late'), requestedAddresses: [address] };
      const { plan } = await cluster.set(desired);
      expect(plan.refusals.map(({ member, code }) => ({ member, code }))).toEqual([
        { member: 'uid-late', code: 'AddressInUse' },
      ]);
      expect(plan.refusals[0]?.message).toContain(address);
      await cluster.verify();
      await cluster.remove(serviceId('holder'));
      await cluster.reconcile(desired.id);
      expect(cluster.addresses(desired.id)).toEqual([address]);
      await cluster.verify();
    });

    test('refuses only the member that asks for an address which cannot be had', async () => {
      const { cluster } = await start();
      const desired = desiredLoadBalancer({
        id: groupId(),
        members: [
          member({ name: 'modest', listeners: [{ port: 80 }], requestedAddresses: [] }),
          member({ name: 'greedy', listeners: [{ port: 81 }], requestedAddresses: ['192.0.2.77'] }),
        ],
        requestedAddresses: ['192.0.2.77'],
        nodes: loopbackNodes(2),
      });
      const { plan } = await cluster.set(desired);
      expect(plan.refusals.map(({ member, code }) => ({ member, code }))).toEqual([
        { member: 'uid-greedy', code: 'AddressNotInPool' },
      ]);
      expect(cluster.addresses(desired.id)).toHaveLength(1);
      await cluster.verify();
    });

    test('knows nothing of a load balancer that never was', async () => {
      const { cluster } = await start();
      const { observed, plan } = await cluster.look(serviceId('never'));
      expect(plan).toEqual({ steps: [], refusals: [] });
      expect(cluster.provider.holders(observed)).toEqual([]);
      expect(await cluster.provider.inventory(context())).toEqual([]);
    });

    test('tells load balancers of the same name apart by namespace and by kind', async () => {
      const { cluster } = await start();
      for (const id of [serviceId('web', 'one'), serviceId('web', 'two'), groupId('web', 'one')]) {
        const { namespace, kind } = id;
        await cluster.set(
          desiredLoadBalancer({
            id,
            members: [member({ namespace, uid: `uid-${namespace}-${kind}` })],
            nodes: loopbackNodes(1),
          }),
        );
      }
      await cluster.verify();
      await cluster.remove(serviceId('web', 'one'));
      await cluster.verify();
    });

    test('ends looking promptly when its signal has aborted', async () => {
      const { cluster } = await start();
      await cluster.set(simple('web'));
      const aborted = context(AbortSignal.abort());
      for (const looking of [
        cluster.provider.observe(serviceId('web'), aborted),
        cluster.provider.inventory(aborted),
      ]) {
        const [outcome] = await within(Promise.allSettled([looking]), 'looking under an aborted signal');
        if (outcome.status === 'rejected') expect(isAbort(outcome.reason)).toBe(true);
      }
    });

    test('changes nothing under a signal that had aborted before', async () => {
      const { harness, cluster } = await start();
      await cluster.set(BYSTANDER);
      const before = await harness.reachable();
      const wanted = simple('web');
      cluster.want(wanted);
      const { plan } = await cluster.look(wanted.id);
      expect(plan.steps.length).toBeGreaterThan(0);
      for (const step of plan.steps) await applyInterrupted(cluster.provider, step, 'before');
      expect(await harness.reachable()).toEqual(before);
      await cluster.settle();
      await cluster.verify();
    });

    test('converges from any history of changes, interruptions and restarts', async () => {
      const { offer } = await start();
      await fc.assert(
        fc.asyncProperty(fc.array(eventArbitrary(offer), { minLength: 1, maxLength: 10 }), async (history) => {
          const { harness, cluster } = await start();
          try {
            for (const event of history) await play(cluster, event);
            await cluster.settle();
            await cluster.verify();
            for (const { id } of cluster.desired.values()) cluster.want(undefined, id);
            await cluster.settle();
            await cluster.verify();
            expect(await harness.reachable()).toEqual([]);
          } finally {
            await finish(harness);
          }
        }),
        { numRuns: options.histories ?? 25 },
      );
    });

    test.checkGaps();
  });
}

/** One load balancer of one member with 80/TCP at one IPv4 address. */
function simple(name: string): DesiredLoadBalancer {
  return desiredLoadBalancer({ id: serviceId(name), members: [member({ name })], nodes: loopbackNodes(2) });
}

/** Brings about what is there before a change, beside the bystander; returns the id that the change is about. */
async function prepare(cluster: Cluster, change: Change, offer: Offer): Promise<LoadBalancerId> {
  await cluster.set(BYSTANDER);
  const from = change.from?.(offer);
  if (from) await cluster.set(from);
  const id = (from ?? change.to?.(offer))?.id;
  if (!id) throw new Error('a change goes from something or to something');
  return id;
}

function wantAfter(cluster: Cluster, change: Change, offer: Offer, id: LoadBalancerId): void {
  const to = change.to?.(offer);
  if (to) cluster.want(to);
  else cluster.want(undefined, id);
}

type Event =
  | { readonly kind: 'set'; readonly desired: DesiredLoadBalancer }
  | { readonly kind: 'remove'; readonly id: LoadBalancerId }
  | {
      readonly kind: 'interrupt';
      readonly desired: DesiredLoadBalancer;
      readonly index: number;
      readonly moment: Moment;
    }
  | { readonly kind: 'restart' };

const IDS: readonly LoadBalancerId[] = [serviceId('a'), serviceId('b'), groupId('a'), groupId('b')];

function eventArbitrary({ addresses, capabilities }: Offer): fc.Arbitrary<Event> {
  const families = (['IPv4', 'IPv6'] as const).filter((family) => addresses[family].length > 0);
  const desired = fc.constantFrom(...IDS).chain((id) =>
    desiredArbitrary(id, {
      families,
      protocols: capabilities.protocols.filter((protocol) => protocol !== 'SCTP'),
      settings: capabilities.settings,
      addresses: families.map((family) => addresses[family].at(-1) ?? ''),
      nodes: loopbackNodes(4),
    }),
  );
  return fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('set' as const), desired }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), id: fc.constantFrom(...IDS) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('interrupt' as const),
        desired,
        index: fc.nat(4),
        moment: fc.constantFrom(...MOMENTS),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  );
}

async function play(cluster: Cluster, event: Event): Promise<void> {
  switch (event.kind) {
    case 'set':
      await cluster.set(event.desired);
      return;
    case 'remove':
      await cluster.remove(event.id);
      return;
    case 'interrupt':
      cluster.want(event.desired);
      await cluster.interrupt(event.desired.id, event.index, event.moment);
      return;
    case 'restart':
      await cluster.restart();
      await cluster.settle();
  }
}

interface NamedTests {
  (name: string, run: () => Promise<void>): void;
  /** Adds a test that fails for a gap that names no test. */
  checkGaps(): void;
}

/** `it`, but a test that is named as a gap shows up as skipped, with the reason in its name. */
function namedTests({ skip = [] }: Pick<ContractOptions<Harness>, 'skip'>): NamedTests {
  const names = new Set<string>();
  const test = (name: string, run: () => Promise<void>): void => {
    names.add(name);
    const gap = skip.find(({ tests }) => tests.includes(name));
    const declare = gap ? it.skip : it;
    declare(gap ? `${name} (${gap.reason})` : name, run);
  };
  const checkGaps = (): void => {
    it('has no gap that names a test which does not exist', () => {
      expect(skip.flatMap(({ tests }) => tests).filter((name) => !names.has(name))).toEqual([]);
    });
  };
  return Object.assign(test, { checkGaps });
}
