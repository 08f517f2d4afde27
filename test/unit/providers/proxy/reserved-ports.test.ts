import { describe, expect, it } from 'vitest';
import { listenerKey } from '#src/loadbalancer/model';
import { desiredLoadBalancer, listener, member } from '#test/fakes/builders';
import { parseProxyOptions } from '#providers/proxy/options';
import { place, type Placement } from '#providers/proxy/placement';
import { isReserved, parseReservedPorts } from '#providers/proxy/reserved-ports';
import { PlanModel } from './plan-model.ts';

const parse = (...entries: readonly string[]): readonly (readonly [number, number])[] =>
  parseReservedPorts(entries, 'proxy-reserved-ports').map(({ first, last }) => [first, last]);

describe('--proxy-reserved-ports', () => {
  it('takes ports, ranges, and none', () => {
    expect(parse('22', ' 10248-10260 ')).toEqual([
      [22, 22],
      [10_248, 10_260],
    ]);
    expect(parse('none')).toEqual([]);
  });

  it.each(['', '0', '65536', '9-8', '1-2-3', 'ssh', '-1', 'none,22'])('refuses %j and names it', (entry) => {
    expect(() => parse(entry)).toThrow(`--proxy-reserved-ports: ${JSON.stringify(entry)} is neither`);
  });

  it('keeps by default what the machine of a node needs, and no port of a usual Service', () => {
    const { reservedPorts } = parseProxyOptions({});
    const kept = [22, 10_248, 10_249, 10_250, 10_255, 10_256, 10_257, 10_259, 10_260, 10_270];
    expect(kept.filter((port) => !isReserved(port, reservedPorts))).toEqual([]);
    const free = [21, 23, 25, 53, 80, 443, 3306, 5432, 6443, 8080, 10_247, 10_261, 10_269, 10_271, 30_000];
    expect(free.filter((port) => isReserved(port, reservedPorts))).toEqual([]);
  });
});

describe('a Service that asks for a port of the machine', () => {
  const asking = desiredLoadBalancer({
    members: [member({ listeners: [22, 80, 10_250].map((port) => listener({ port })) })],
  });

  function placed(options: Readonly<Record<string, unknown>>): Placement {
    const model = new PlanModel(options);
    return place(asking, model.observe(asking.id), model.options);
  }

  it('gets its other ports, and is told which one it does not get and why', () => {
    const { listeners, refusals } = placed({});
    expect(listeners.map(listenerKey)).toEqual(['80/TCP']);
    expect(refusals).toMatchObject([
      { code: 'PortNotAllowed', listener: { port: 22 }, field: 'spec.ports' },
      { code: 'PortNotAllowed', listener: { port: 10_250 }, message: expect.stringContaining('choose another') },
    ]);
  });

  it('gets it where the operator says so', () => {
    const { listeners, refusals } = placed({ 'proxy-reserved-ports': ['none'] });
    expect(listeners.map(({ port }) => port)).toEqual([22, 80, 10_250]);
    expect(refusals).toEqual([]);
  });
});
