import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConnectionGate } from '#providers/proxy/connection-gate';

describe('the limits on connections', () => {
  it('admit up to the limit, let some wait, and turn away the rest', () => {
    const gate = new ConnectionGate(2, 1);
    const lane = gate.lane();
    expect([1, 2, 3, 4].map(() => lane.enter(() => {}))).toEqual(['admitted', 'admitted', 'waiting', 'full']);
  });

  it('admit who waited longest when there is room again', () => {
    const gate = new ConnectionGate(1, 9);
    const lane = gate.lane();
    const order: string[] = [];
    lane.enter(() => {});
    for (const name of ['a', 'b', 'c']) lane.enter(() => order.push(name));
    lane.leave();
    expect(order).toEqual(['a']);
    lane.leave();
    lane.leave();
    expect(order).toEqual(['a', 'b', 'c']);
    expect(gate.active).toBe(1);
  });

  it('let nobody overtake those who wait', () => {
    const gate = new ConnectionGate(9, 9);
    const lane = gate.lane(1);
    lane.enter(() => {});
    lane.enter(() => {});
    expect(lane.enter(() => {})).toBe('waiting');
  });

  it('hold back one listener without holding back another', () => {
    const gate = new ConnectionGate(3, 9);
    const [small, other] = [gate.lane(1), gate.lane()];
    expect(small.enter(() => {})).toBe('admitted');
    expect(small.enter(() => {})).toBe('waiting');
    expect(other.enter(() => {})).toBe('admitted');
    expect(other.enter(() => {})).toBe('admitted');
  });

  it('take turns between listeners when room is scarce', () => {
    const gate = new ConnectionGate(1, 9);
    const [busy, quiet] = [gate.lane(), gate.lane()];
    const order: string[] = [];
    busy.enter(() => {});
    for (const name of ['busy 1', 'busy 2', 'busy 3']) busy.enter(() => order.push(name));
    quiet.enter(() => order.push('quiet'));
    busy.leave();
    busy.leave();
    expect(order).toEqual(['busy 1', 'quiet']);
  });

  it('leave half of the room to wait to the other listeners', () => {
    const gate = new ConnectionGate(9, 4);
    const [small, other] = [gate.lane(1), gate.lane(1)];
    expect([1, 2, 3, 4].map(() => small.enter(() => {}))).toEqual(['admitted', 'waiting', 'waiting', 'full']);
    expect([1, 2, 3].map(() => other.enter(() => {}))).toEqual(['admitted', 'waiting', 'waiting']);
  });

  it('forget those who gave up', () => {
    const gate = new ConnectionGate(1, 1);
    const lane = gate.lane();
    lane.enter(() => {});
    let admitted = false;
    const admit = (): void => {
      admitted = true;
    };
    lane.enter(admit);
    lane.abandon(admit);
    expect(lane.enter(() => {})).toBe('waiting');
    lane.leave();
    expect(admitted).toBe(false);
  });

  it('admit those who wait when a limit is raised', () => {
    const gate = new ConnectionGate(9, 9);
    const lane = gate.lane(1);
    let admitted = 0;
    for (let count = 0; count < 4; count++) lane.enter(() => admitted++);
    lane.setLimit(3);
    expect(admitted).toBe(2);
  });

  it('are never passed, and leave nobody waiting while there is room, whatever happens', () => {
    const event = fc.record({
      kind: fc.constantFrom('enter', 'enter', 'leave', 'abandon'),
      lane: fc.nat(2),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.nat(4), fc.array(event), (limit, mostWaiting, events) => {
        const gate = new ConnectionGate(limit, mostWaiting);
        const lanes = [gate.lane(1), gate.lane(2), gate.lane()];
        const limits = [1, 2, Infinity];
        const waiting: (() => void)[][] = [[], [], []];
        for (const { kind, lane: index } of events) {
          const lane = lanes[index];
          const queue = waiting[index];
          if (!lane || !queue) continue;
          if (kind === 'enter') {
            const admit = (): void => {
              queue.splice(queue.indexOf(admit), 1);
            };
            if (lane.enter(admit) === 'waiting') queue.push(admit);
          } else if (kind === 'leave' && lane.active > 0) {
            lane.leave();
          } else if (kind === 'abandon') {
            const last = queue.pop();
            if (last) lane.abandon(last);
          }
          expect(gate.active).toBeLessThanOrEqual(limit);
          expect(lanes.reduce((sum, each) => sum + each.active, 0)).toBe(gate.active);
          expect(lanes.map((each) => each.waiting)).toEqual(waiting.map((each) => each.length));
          expect(waiting.flat().length).toBeLessThanOrEqual(mostWaiting);
          for (const [each, own] of lanes.entries()) {
            expect(own.active).toBeLessThanOrEqual(limits[each] ?? 0);
            const idle = own.waiting > 0 && own.active < (limits[each] ?? 0) && gate.active < limit;
            expect(idle).toBe(false);
          }
        }
      }),
    );
  });
});
