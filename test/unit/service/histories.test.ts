/** Random histories of what users, nodes and a failing world do; in the end everything must fit together. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { node, service, servicePort } from '#test/fakes/builders';
import { Rig } from '#test/fakes/service-rig';
import { BallastError } from '#src/errors';
import type { Service } from '#src/kube/wire';
import { claimOf } from '#src/loadbalancer/claim';
import { claimRules } from '#src/service/config';

const NAMES = ['a', 'b', 'c'] as const;
const TYPES = ['LoadBalancer', 'LoadBalancer', 'ClusterIP', 'NodePort'] as const;
const ANNOTATIONS: Readonly<Record<string, readonly (string | undefined)[]>> = {
  'ballast.dev/load-balancer': [undefined, 'shared', 'shared', 'other', 'Not a name'],
  'ballast.dev/addresses': [undefined, undefined, '192.0.2.1', '192.0.2.2', '203.0.113.1', 'x'],
  'ballast.dev/algorithm': [undefined, 'least-connections', 'x'],
};

type Act = (rig: Rig) => void | Promise<void>;

/** An act that reports of failures show by its name. */
class Named {
  readonly label: string;
  readonly act: Act;

  constructor(label: string, act: Act) {
    this.label = label;
    this.act = act;
  }

  [fc.toStringMethod](): string {
    return this.label;
  }
}

const name = fc.constantFrom(...NAMES);
let serial = 0;

const acts: fc.Arbitrary<Named> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({ name, port: fc.integer({ min: 80, max: 82 }) })
      .map(({ name, port }) => new Named(`create ${name}:${port}`, create(name, port))),
  },
  {
    weight: 2,
    arbitrary: name.map(
      (name) =>
        new Named(
          `delete ${name}`,
          existing(name, (rig) => rig.api.delete(`default/${name}`)),
        ),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.record({ name, type: fc.constantFrom(...TYPES) }).map(
      ({ name, type }) =>
        new Named(
          `${name} becomes ${type}`,
          existing(name, (rig) => void rig.api.edit(`default/${name}`, { type })),
        ),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ name, annotation: fc.constantFrom(...Object.keys(ANNOTATIONS)), index: fc.nat(5) })
      .map(({ name, annotation, index }) => {
        const values = ANNOTATIONS[annotation] ?? [];
        const value = values[index % values.length];
        return new Named(
          `${name} ${annotation}=${value}`,
          existing(name, (rig) => void rig.api.annotate(`default/${name}`, { [annotation]: value })),
        );
      }),
  },
  {
    weight: 1,
    arbitrary: name.map(
      (name) =>
        new Named(
          `the status of ${name} is wiped`,
          tampering(name, (each) => ({ ...each, status: {} })),
        ),
    ),
  },
  {
    weight: 1,
    arbitrary: name.map(
      (name) => new Named(`the finalizers of ${name} are forced off`, tampering(name, withoutFinalizers)),
    ),
  },
  { weight: 1, arbitrary: fc.nat(3).map((count) => new Named(`${count} nodes`, (rig: Rig) => nodes(rig, count))) },
  {
    weight: 1,
    arbitrary: fc.nat(3).map((count) => new Named(`the next ${count} steps fail`, (rig: Rig) => failSteps(rig, count))),
  },
  {
    weight: 1,
    arbitrary: fc
      .nat(3)
      .map((count) => new Named(`the next ${count} writes fail`, (rig: Rig) => failWrites(rig, count))),
  },
  { weight: 1, arbitrary: fc.constant(new Named('the watch lags', (rig: Rig) => void (rig.api.watchIsSlow = true))) },
  { weight: 1, arbitrary: fc.constant(new Named('the watch catches up', catchUp)) },
  { weight: 1, arbitrary: fc.constant(new Named('restart', (rig: Rig) => rig.restart())) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(50, 2_000).map((ms) => new Named(`${ms} ms pass`, (rig: Rig) => rig.settle(ms))),
  },
);

function create(name: string, port: number): Act {
  return (rig) => {
    if (rig.api.get(`default/${name}`)) return;
    serial += 1;
    rig.api.create(
      service({
        loadBalancerClass: null,
        metadata: {
          name,
          uid: `${name}-${serial}`,
          creationTimestamp: `2026-01-01T00:00:${String(serial % 60).padStart(2, '0')}Z`,
        },
        spec: { ports: [servicePort({ port, nodePort: 0 }), servicePort({ port: 443, nodePort: 0 })] },
      }),
    );
  };
}

function existing(name: string, act: Act): Act {
  return (rig) => {
    const service = rig.api.get(`default/${name}`);
    if (service && service.metadata.deletionTimestamp === undefined) return act(rig);
  };
}

/** Somebody else's change, also of a Service that is being deleted. */
function tampering(name: string, change: (service: Service) => Service): Act {
  return (rig) => {
    if (rig.api.get(`default/${name}`)) rig.api.tamper(`default/${name}`, change);
  };
}

function withoutFinalizers(service: Service): Service {
  return { ...service, metadata: { ...service.metadata, finalizers: [] } };
}

function nodes(rig: Rig, count: number): void {
  rig.nodes.replace(
    Array.from({ length: count }, (_, index) =>
      node({ metadata: { name: `node-${index}` }, addresses: [`10.0.0.${index}`] }),
    ),
  );
}

function failSteps(rig: Rig, count: number): void {
  let left = count;
  rig.provider.beforeStep = () => {
    if (left-- > 0) throw new BallastError('ListenFailed', 'not now');
  };
}

function failWrites(rig: Rig, count: number): void {
  let left = count;
  rig.api.beforeWrite = () => {
    if (left-- > 0) throw new BallastError('ApiUnavailable', 'not now');
  };
}

function catchUp(rig: Rig): void {
  rig.api.watchIsSlow = false;
  rig.api.flush();
}

/** What must hold once it is quiet, whatever has happened. */
function check(rig: Rig): void {
  const rules = claimRules(rig.config, [rig.provider]);
  const uids = new Set<string>();
  for (const each of rig.api.list()) {
    const ours = claimOf(each, rules).provider !== undefined;
    expect(each.metadata.deletionTimestamp, `${each.metadata.name} is gone when it was deleted`).toBeUndefined();
    const conditions = each.status?.conditions ?? [];
    const held = each.metadata.finalizers?.includes('ballast.dev/recording') ?? false;
    expect(ours || (!held && conditions.length === 0), `nothing of ours is left on ${each.metadata.name}`).toBe(true);
    expect(!ours || conditions.length === 3, `${each.metadata.name} is answered`).toBe(true);
    const shows = each.status?.loadBalancer?.ingress?.map(({ ip }) => ip) ?? [];
    const serving = rig.world
      .list()
      .filter(({ listeners }) => listeners.some(({ listener }) => listener.member === each.metadata.uid));
    expect(serving.length, `load balancers that serve ${each.metadata.name}`).toBeLessThanOrEqual(1);
    expect(shows, `what ${each.metadata.name} shows`).toEqual(
      serving.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    );
    expect(serving.length === 0 || held, `${each.metadata.name} has a finalizer while it is served`).toBe(true);
    uids.add(each.metadata.uid);
  }
  for (const { listeners, id } of rig.world.list()) {
    expect(listeners.length, `listeners of ${id.name}`).toBeGreaterThan(0);
    expect(
      listeners.filter(({ listener }) => !uids.has(listener.member)),
      `orphans of ${id.name}`,
    ).toEqual([]);
  }
}

/** Whether the Service is served although it asks nonsense. */
function isKept({ status }: Service): boolean {
  const isRefused = status?.conditions?.some((each) => each.type === 'ballast.dev/Accepted' && each.status === 'False');
  return isRefused === true && (status?.loadBalancer?.ingress ?? []).length > 0;
}

describe('after any history', () => {
  it('everything fits together, and another start finds nothing to do', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(acts, { minLength: 3, maxLength: 25, size: 'max' }), async (history) => {
        const rig = new Rig({ provider: { pool: ['192.0.2.1', '192.0.2.2'] } });
        await rig.start();
        for (const { act } of history) await act(rig);
        catchUp(rig);
        rig.api.beforeWrite = () => {};
        rig.provider.beforeStep = () => {};
        await rig.settle(rig.config.resyncMs);
        check(rig);
        if (rig.api.list().some(isKept)) {
          // A new process does not know what those wished before who ask nonsense; from then on nothing changes.
          await rig.restart();
          await rig.settle(rig.config.resyncMs);
          check(rig);
          rig.provider.calls.length = 0;
        }
        rig.api.writes.length = 0;
        rig.events.length = 0;
        await rig.restart();
        await rig.settle(rig.config.resyncMs);
        expect(rig.api.writes).toEqual([]);
        expect(rig.provider.applied).toEqual([]);
        expect(rig.events).toEqual([]);
        await rig.stop();
      }),
      { numRuns: 60 },
    );
  });
});
