import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyOf } from '#src/loadbalancer/identity';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import type { ProxyStep } from '#providers/proxy/steps';
import { desiredArbitrary } from '#test/fakes/arbitraries';
import { deepFreeze, desiredLoadBalancer, groupId, manyNodes, member, serviceId } from '#test/fakes/builders';
import { PlanModel } from './plan-model.ts';

const web = desiredLoadBalancer();
const kinds = (steps: readonly ProxyStep[]): readonly string[] => steps.map(({ kind }) => kind);

function named(name: string, rest: Partial<DesiredLoadBalancer> = {}): DesiredLoadBalancer {
  return desiredLoadBalancer({ id: serviceId(name), members: [member({ name })], ...rest });
}

describe('planning', () => {
  it('reads well', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1-192.0.2.9'], 'proxy-interface': 'eth0' });
    expect(model.reconcile(web, web.id).steps.map(({ summary }) => summary)).toEqual([
      'Send traffic of default/web to 3 nodes',
      'Assign 192.0.2.1',
      'Add 192.0.2.1 to eth0',
      'Listen on 192.0.2.1:80/TCP for NodePort 30080',
    ]);
    const changed = desiredLoadBalancer({
      members: [member({ listeners: [{ nodePort: 31_000 }], settings: { algorithm: 'least-connections' } })],
      nodes: manyNodes(2),
    });
    expect(model.reconcile(changed, web.id).steps.map(({ summary, impact }) => [impact, summary])).toEqual([
      ['drains', 'Send traffic of default/web to 2 nodes (remove node-3)'],
      ['none', 'Change 192.0.2.1:80/TCP: NodePort 30080 → 31000, algorithm'],
    ]);
    expect(model.reconcile(undefined, web.id).steps.map(({ summary, impact }) => [impact, summary])).toEqual([
      ['drains', 'Stop listening on 192.0.2.1:80/TCP'],
      ['none', 'Release 192.0.2.1, and remove it from eth0 unless it is used or was there before'],
      ['none', 'Forget the targets of the Service uid-web'],
    ]);
  });

  it('opens everything new before it closes anything old', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1-192.0.2.9'] });
    model.reconcile(web, web.id);
    const moved = { ...web, requestedAddresses: ['192.0.2.5'] };
    expect(kinds(model.plan(moved, web.id).steps)).toEqual([
      'assignAddress',
      'openListener',
      'closeListener',
      'releaseAddress',
    ]);
  });

  it('adds no address to the interface that is on the machine already', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1', '127.0.0.9'], 'proxy-interface': 'eth0' });
    model.local.add('192.0.2.1');
    for (const address of ['192.0.2.1', '127.0.0.9']) {
      const desired = { ...web, requestedAddresses: [address] };
      expect(kinds(model.plan(desired, web.id).steps)).not.toContain('addInterfaceAddress');
    }
  });

  it('puts back an address that somebody took off the interface', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1-192.0.2.9'], 'proxy-interface': 'eth0' });
    model.reconcile(web, web.id);
    model.local.clear();
    expect(kinds(model.plan(web, web.id).steps)).toEqual(['addInterfaceAddress']);
  });

  it('holds an address on the interface as long as connections go on over it, and its Service with it', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1-192.0.2.9'], 'proxy-interface': 'eth0' });
    model.reconcile(web, web.id);
    model.draining.set(keyOf(web.id), ['192.0.2.1']);
    expect(kinds(model.reconcile(undefined, web.id).steps)).toEqual(['closeListener']);
    expect(model.plan(undefined, web.id).steps).toEqual([]);
    expect(model.observe(web.id).targets.map(({ member }) => member)).toEqual(['uid-web']);
    model.draining.clear();
    expect(kinds(model.reconcile(undefined, web.id).steps)).toEqual(['releaseAddress', 'dropTargets']);
  });

  it('refuses what it cannot give, and serves the rest', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1'] });
    const desired = desiredLoadBalancer({
      id: groupId(),
      members: [
        member({
          name: 'a',
          listeners: [{ port: 80 }, { port: 81, nodePort: undefined }, { port: 82, protocol: 'SCTP' }],
        }),
        member({
          name: 'b',
          listeners: [{ port: 90 }],
          families: [
            { family: 'IPv4', required: true },
            { family: 'IPv6', required: true },
          ],
        }),
        member({
          name: 'c',
          listeners: [{ port: 91 }],
          families: [
            { family: 'IPv6', required: true },
            { family: 'IPv4', required: false },
          ],
        }),
        member({
          name: 'd',
          listeners: [{ port: 92 }],
          families: [
            { family: 'IPv4', required: true },
            { family: 'IPv6', required: false },
          ],
        }),
      ],
    });
    const { refusals } = model.reconcile(desired, desired.id);
    expect(refusals.map(({ member, code, listener }) => [member, code, listener?.port])).toEqual([
      ['uid-a', 'NodePortMissing', 81],
      ['uid-a', 'UnsupportedProtocol', 82],
      ['uid-b', 'AddressPoolExhausted', undefined],
      ['uid-c', 'AddressPoolExhausted', undefined],
    ]);
    expect(model.open()).toEqual(['192.0.2.1:80/TCP', '192.0.2.1:92/TCP']);
  });

  it('lets a request that cannot be met cost only the member that made it', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1-192.0.2.2'] });
    const desired = desiredLoadBalancer({
      id: groupId(),
      members: [
        member({ name: 'old', requestedAddresses: [] }),
        member({ name: 'new', listeners: [{ port: 81 }], requestedAddresses: ['192.0.2.77'] }),
      ],
      requestedAddresses: ['192.0.2.77'],
    });
    const { refusals } = model.reconcile(desired, desired.id);
    expect(refusals.map(({ member, code }) => [member, code])).toEqual([['uid-new', 'AddressNotInPool']]);
    expect(model.open()).toEqual(['192.0.2.1:80/TCP']);
  });

  it('shares a single address by port, and names who has a port already', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1'] });
    model.reconcile(named('first'), serviceId('first'));
    const second = desiredLoadBalancer({
      id: serviceId('second'),
      members: [member({ name: 'second', listeners: [{ port: 80 }, { port: 443 }] })],
    });
    const { refusals } = model.reconcile(second, second.id);
    expect(refusals).toMatchObject([{ member: 'uid-second', code: 'PortConflict', listener: { port: 80 } }]);
    expect(refusals[0]?.message).toContain('default/first');
    expect(model.open()).toEqual(['192.0.2.1:80/TCP', '192.0.2.1:443/TCP']);

    model.reconcile(undefined, serviceId('first'));
    expect(model.reconcile(second, second.id).refusals).toEqual([]);
  });

  it('says what a refusal waits for in the words in which steps say what they free', () => {
    for (const addresses of [['192.0.2.1'], ['192.0.2.1-192.0.2.2']]) {
      const model = new PlanModel({ 'proxy-addresses': addresses });
      for (const name of ['a', 'b']) model.reconcile(named(name), serviceId(name));
      // One waits for the port, or for any address; another for that very address.
      const waiting = [named('c'), named('d', { requestedAddresses: ['192.0.2.1'] })];
      const things = waiting.flatMap((desired) =>
        model.plan(desired, desired.id).refusals.flatMap(({ waitsFor = [] }) => waitsFor),
      );
      const freed = model.plan(undefined, serviceId('a')).steps.flatMap(({ frees = [] }) => frees);
      expect(things).toHaveLength(2);
      expect(freed).toEqual(expect.arrayContaining(things));
    }
  });

  it('keeps what is held when the pool has become larger or the address was shared before', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1-192.0.2.9'] });
    for (const name of ['a', 'b']) model.claims.restore(keyOf(serviceId(name)), '192.0.2.5');
    const a = named('a', { publishedAddresses: ['192.0.2.5'] });
    const b = desiredLoadBalancer({
      id: serviceId('b'),
      members: [member({ name: 'b', listeners: [{ port: 81 }] })],
      publishedAddresses: ['192.0.2.5'],
    });
    for (const desired of [a, b]) model.reconcile(desired, desired.id);
    model.reconcile(named('c'), serviceId('c'));
    expect(model.open().toSorted()).toEqual(['192.0.2.1:80/TCP', '192.0.2.5:80/TCP', '192.0.2.5:81/TCP']);
  });

  it('keeps, of two addresses that it holds, the one that is published', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1-192.0.2.9'] });
    for (const address of ['192.0.2.3', '192.0.2.5']) model.claims.restore(keyOf(web.id), address);
    const { steps } = model.reconcile({ ...web, publishedAddresses: ['192.0.2.5'] }, web.id);
    expect(kinds(steps)).toEqual(['setTargets', 'openListener', 'releaseAddress']);
    expect(model.open()).toEqual(['192.0.2.5:80/TCP']);
  });

  it('leaves an address that is no longer in the pool', () => {
    const model = new PlanModel({ 'proxy-addresses': ['192.0.2.1-192.0.2.9'] });
    const desired = named('a', { publishedAddresses: ['198.51.100.1'] });
    model.reconcile(desired, desired.id);
    expect(model.open()).toEqual(['192.0.2.1:80/TCP']);
  });

  const ids = [serviceId('a'), serviceId('b'), groupId('a'), groupId('b')];
  const pools: Readonly<Record<string, readonly string[]>> = {
    'a single shared address': ['192.0.2.1', 'fd00::1'],
    'a few addresses': ['192.0.2.1-192.0.2.3', 'fd00::1-fd00::2'],
    'addresses of one family': ['192.0.2.1-192.0.2.2'],
    'more than enough': ['192.0.2.0/24', 'fd00::/64'],
  };
  for (const [name, entries] of Object.entries(pools)) {
    for (const device of ['eth0', undefined]) {
      it(`always converges at once and never gives a port twice: ${name}, ${device ?? 'no interface'}`, () => {
        const event = fc.constantFrom(...ids).chain((id) =>
          fc.record({
            id: fc.constant(id),
            desired: fc.option(
              desiredArbitrary(id, { addresses: ['192.0.2.1', '192.0.2.2', 'fd00::1', '203.0.113.9'] }),
              { nil: undefined, freq: 4 },
            ),
          }),
        );
        fc.assert(
          fc.property(fc.array(event, { minLength: 1, maxLength: 12 }), (events) => {
            const model = new PlanModel({
              'proxy-addresses': entries,
              ...(device === undefined ? {} : { 'proxy-interface': device }),
            });
            for (const { id, desired } of events) {
              deepFreeze(desired);
              const { refusals } = model.reconcile(desired, id);
              const again = model.plan(desired, id);
              expect(again.steps).toEqual([]);
              expect(again.refusals).toEqual(refusals);
              expect(new Set(model.open()).size).toBe(model.open().length);
            }
            for (const id of ids) model.reconcile(undefined, id);
            expect(model.open()).toEqual([]);
            expect([...model.claims.keys()]).toEqual([]);
            expect([...model.local]).toEqual([]);
          }),
          { numRuns: 150 },
        );
      });
    }
  }
});
