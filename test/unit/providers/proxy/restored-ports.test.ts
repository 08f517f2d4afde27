/** On an address that load balancers share by port, whoever had a port before a restart has it afterwards. */
import { describe, expect, it } from 'vitest';
import { keyOf } from '#src/loadbalancer/identity';
import type { DesiredLoadBalancer } from '#src/loadbalancer/model';
import { desiredLoadBalancer, member, serviceId } from '#test/fakes/builders';
import { PlanModel } from './plan-model.ts';

const ADDRESS = '192.0.2.1';
const owner = named('owner', [80, 81]);
const rival = named('rival', [80, 82]);

function named(name: string, ports: readonly number[]): DesiredLoadBalancer {
  return desiredLoadBalancer({
    id: serviceId(name),
    members: [member({ name, listeners: ports.map((port) => ({ port })) })],
    publishedAddresses: [ADDRESS],
  });
}

/** A process that has just started and was told that `owner` has the port 80. */
function restarted(): PlanModel {
  const model = new PlanModel({ 'proxy-addresses': [ADDRESS] });
  for (const { id } of [owner, rival]) model.claims.restore(keyOf(id), ADDRESS);
  for (const port of ['80/TCP', '81/TCP']) model.claims.reservePort(keyOf(owner.id), ADDRESS, port);
  model.claims.reservePort(keyOf(rival.id), ADDRESS, '80/TCP');
  return model;
}

describe('a port of a shared address after a restart', () => {
  it('is its owner’s, though a rival is looked at first', () => {
    const model = restarted();
    expect(model.reconcile(rival, rival.id).refusals.map(({ code }) => code)).toEqual(['PortConflict']);
    expect(model.reconcile(owner, owner.id).refusals).toEqual([]);
    expect(model.open().toSorted()).toEqual(['192.0.2.1:80/TCP', '192.0.2.1:81/TCP', '192.0.2.1:82/TCP']);
    expect(model.plan(owner, owner.id).steps).toEqual([]);
  });

  it('is set free when its owner does not want it any more, and whoever waits is told', () => {
    const model = restarted();
    const [refusal] = model.plan(rival, rival.id).refusals;
    const modest = named('owner', [81]);
    const { steps } = model.reconcile(modest, owner.id);
    expect(steps.map(({ summary }) => summary)).toContain('Let go of 192.0.2.1:80/TCP');
    expect(steps.flatMap(({ frees = [] }) => frees)).toEqual(expect.arrayContaining([...(refusal?.waitsFor ?? ['?'])]));
    expect(model.reconcile(rival, rival.id).refusals).toEqual([]);
    expect(model.plan(modest, owner.id).steps).toEqual([]);
  });

  it('is set free with the address when its owner has gone', () => {
    const model = restarted();
    model.reconcile(undefined, owner.id);
    expect(model.reconcile(rival, rival.id).refusals).toEqual([]);
    expect(model.plan(undefined, owner.id).steps).toEqual([]);
  });

  it('is not kept where the address is none of its own', () => {
    const model = new PlanModel({ 'proxy-addresses': [ADDRESS] });
    model.claims.reservePort(keyOf(owner.id), ADDRESS, '80/TCP');
    expect(model.reconcile(rival, rival.id).refusals).toEqual([]);
  });
});
