/** NodePorts in a cluster that has hardly any: filling, respect for those chosen, conflict and exhaustion. */
import { beforeAll, describe, expect, it } from 'vitest';
import { condition, nodePorts, useCluster } from './cluster.ts';
import { startController } from './controller.ts';

/** Eight numbers; in so small a range there is no band for those that people choose. */
const FIRST = 30_000;
const LAST = 30_007;
const RANGE = `${FIRST}-${LAST}`;

const cluster = useCluster({ serviceNodePortRange: RANGE });
beforeAll(async () => {
  await startController(cluster, { flags: ['--node-port-range', RANGE] });
});

const HOLES = { allocateLoadBalancerNodePorts: false };

describe('a range of eight NodePorts', () => {
  it('is filled to the last, then explained, then used again when one is freed', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('chosen', {
      spec: { type: 'NodePort', ports: [{ port: 80, nodePort: FIRST + 3 }] },
    });
    const names = Array.from({ length: 7 }, (_, index) => `web-${index}`);
    for (const name of names) await namespace.create(name, { spec: HOLES });
    const given = new Set<number>();
    for (const name of names) {
      const [port = 0] = nodePorts(await namespace.untilProgrammed(name));
      given.add(port);
    }
    expect([...given].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 4, 5, 6, 7].map((offset) => FIRST + offset));

    await namespace.create('late', { spec: HOLES });
    const late = await namespace.until(
      'late',
      'an explanation',
      (service) => condition(service, 'Programmed')?.reason === 'NodePortsExhausted',
    );
    expect(nodePorts(late)).toEqual([0]);
    expect(condition(late, 'Programmed')?.message).toContain(RANGE);
    await namespace.untilEvent('late', 'SyncLoadBalancerFailed', new RegExp(RANGE));

    await namespace.delete('web-0');
    const served = await namespace.untilProgrammed('late');
    const [freed = 0] = nodePorts(served);
    expect(given).toContain(freed);
    for (const name of [...names.slice(1), 'late', 'chosen']) {
      await namespace.delete(name);
      await namespace.untilGone(name);
    }
  });

  it('serves the ports that got a number while others wait', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('hog', {
      spec: {
        type: 'NodePort',
        ports: Array.from({ length: 7 }, (_, index) => ({ name: `p${index}`, port: 80 + index })),
      },
    });
    await namespace.create('web', {
      spec: {
        ...HOLES,
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 81 },
        ],
      },
    });
    const web = await namespace.until(
      'web',
      'one port to be served and one to be explained',
      ({ status }) => status?.loadBalancer?.ingress?.[0]?.ports?.some(({ error }) => error !== undefined) ?? false,
    );
    const [ingress] = web.status?.loadBalancer?.ingress ?? [];
    expect(ingress?.ports?.filter(({ error }) => error === undefined)).toHaveLength(1);
    expect(ingress?.ports?.filter(({ error }) => error !== undefined)).toEqual([
      { port: expect.any(Number), protocol: 'TCP', error: 'ballast.dev/NodePortsExhausted' },
    ]);
    await namespace.delete('hog');
    const whole = await namespace.untilProgrammed('web');
    expect(nodePorts(whole)).not.toContain(0);
    await namespace.delete('web');
    await namespace.untilGone('web');
  });

  it('keeps a number that the user chose, and fills only the holes beside it', async () => {
    const namespace = await cluster.namespace();
    await namespace.create('web', {
      spec: {
        ...HOLES,
        ports: [
          { name: 'a', port: 80, nodePort: FIRST + 5 },
          { name: 'b', port: 81 },
          { name: 'c', port: 81, protocol: 'UDP' },
        ],
      },
    });
    const [a, b, c] = nodePorts(await namespace.untilProgrammed('web'));
    expect(a).toBe(FIRST + 5);
    expect(b).toBe(c);
    expect(b).not.toBe(a);
    await namespace.delete('web');
    await namespace.untilGone('web');
  });

  it('chooses again when others take numbers at the same moment', async () => {
    const namespace = await cluster.namespace();
    const ours = ['a', 'b', 'c', 'd'].map((name) => `ours-${name}`);
    const theirs = ['a', 'b', 'c', 'd'].map((name) => `theirs-${name}`);
    await Promise.all([
      ...ours.map((name) => namespace.create(name, { spec: HOLES })),
      ...theirs.map((name) => namespace.create(name, { spec: { type: 'NodePort' } })),
    ]);
    const all: number[] = [];
    for (const name of ours) all.push(...nodePorts(await namespace.untilProgrammed(name)));
    for (const name of theirs) all.push(...nodePorts(await namespace.get(name)));
    expect(new Set(all).size).toBe(8);
    for (const name of [...ours, ...theirs]) await namespace.delete(name);
    for (const name of ours) await namespace.untilGone(name);
  });
});
