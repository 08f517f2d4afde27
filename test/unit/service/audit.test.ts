import { describe, expect, it } from 'vitest';
import { FakeClock } from '#test/fakes/clock';
import { keyOf, type LoadBalancerKey } from '#src/loadbalancer/identity';
import { startAudit } from '#src/service/audit';

const keys = Array.from({ length: 1_000 }, (_, index) =>
  keyOf({ kind: 'service', namespace: 'n', name: `s-${index}` }),
);

describe('the audit', () => {
  it('adds every key once per period, spread over it', async () => {
    const clock = new FakeClock();
    const added: LoadBalancerKey[] = [];
    const end = startAudit({ periodMs: 256_000, clock, keys: () => keys, enqueue: (key) => added.push(key) });
    let most = 0;
    for (let second = 0; second < 256; second++) {
      const before = added.length;
      await clock.advance(1_000);
      most = Math.max(most, added.length - before);
    }
    expect(added.toSorted()).toEqual(keys.toSorted());
    expect(most).toBeLessThan(20);
    await clock.advance(256_000);
    expect(added).toHaveLength(2_000);
    end();
    expect(clock.pending).toBe(0);
  });
});
