/** Every kind of plan: from what to what it leads. */
import type { Place } from './place.ts';
import type { Scene } from './scene.ts';

export interface PlanKind {
  /** What is there and settled before; nothing by default. */
  readonly before?: { readonly make: (place: Place) => Promise<void>; readonly scene: Scene };
  /** What happens then. */
  readonly change: (place: Place) => Promise<void>;
  readonly after: Scene;
  /** What happens while no controller is there, or after everything; nothing by default. */
  readonly meanwhile?: { readonly make: (place: Place) => Promise<void>; readonly scene: Scene };
}

const ONE: Scene = { loadBalancers: { 'service/a': { a: [80] } } };
const TWO_PORTS: Scene = { loadBalancers: { 'service/a': { a: [80, 443] } } };
const THREE_NODES = ['node-1', 'node-2', 'node-3'];
const GROUP: Scene = { loadBalancers: { 'group/shared': { a: [80], b: [81] } } };
const APART: Scene = { loadBalancers: { 'service/a': { a: [80] }, 'group/shared': { b: [81] } } };

const makeOne = (place: Place): Promise<void> => place.create('a', [80]);
const makeTwoPorts = (place: Place): Promise<void> => place.create('a', [80, 443]);
const makeGroup = async (place: Place): Promise<void> => {
  await place.create('a', [80], { group: 'shared' });
  await place.create('b', [81], { group: 'shared' });
};

const makeClassless = (place: Place): Promise<void> => place.create('a', [80, '53/UDP'], { isClassless: true });
const CLASSLESS: Scene = { loadBalancers: { 'service/a': { a: [80, '53/UDP'] } }, classless: ['a'] };

/** Those with the most effects come first: they take longest. */
export const PLAN_KINDS: Readonly<Record<string, PlanKind>> = {
  'a group is joined': {
    before: {
      async make(place) {
        await place.create('a', [80]);
        await place.create('b', [81], { group: 'shared' });
      },
      scene: APART,
    },
    change: (place) => place.setGroup('a', 'shared'),
    after: GROUP,
  },
  'a group is left': {
    before: { make: makeGroup, scene: GROUP },
    change: (place) => place.setGroup('a', null),
    after: APART,
  },
  'a Service is created': { change: makeTwoPorts, after: TWO_PORTS },
  'a Service without a class is created': { change: makeClassless, after: CLASSLESS },
  'a Service without a class is deleted': {
    before: { make: makeClassless, scene: CLASSLESS },
    change: (place) => place.namespace.delete('a'),
    after: { loadBalancers: {} },
  },
  'a Service without NodePorts is created': {
    change: (place) => place.create('a', [80], { spec: { allocateLoadBalancerNodePorts: false } }),
    after: ONE,
  },
  'a Service is created, and deleted while no controller is there': {
    change: makeOne,
    after: ONE,
    meanwhile: { make: (place) => place.namespace.delete('a'), scene: { loadBalancers: {} } },
  },
  'a port is changed': {
    before: { make: makeOne, scene: ONE },
    change: (place) => place.setPorts('a', [8080]),
    after: { loadBalancers: { 'service/a': { a: [8080] } } },
  },
  'a Service is deleted': {
    before: { make: makeTwoPorts, scene: TWO_PORTS },
    change: (place) => place.namespace.delete('a'),
    after: { loadBalancers: {} },
  },
  'the type is changed': {
    before: { make: makeTwoPorts, scene: TWO_PORTS },
    change: async (place) => {
      await place.namespace.patchSpec('a', { type: 'ClusterIP', loadBalancerClass: null });
    },
    after: { loadBalancers: {}, released: ['a'] },
  },
  'a member of a group is deleted': {
    before: { make: makeGroup, scene: GROUP },
    change: (place) => place.namespace.delete('a'),
    after: { loadBalancers: { 'group/shared': { b: [81] } } },
  },
  'a port is added': {
    before: { make: makeOne, scene: ONE },
    change: (place) => place.setPorts('a', [80, 443]),
    after: TWO_PORTS,
  },
  'a node is added': {
    before: { make: makeTwoPorts, scene: TWO_PORTS },
    change: (place) => place.addNode('node-3'),
    after: { ...TWO_PORTS, nodes: THREE_NODES },
  },
  'a node is removed': {
    before: {
      async make(place) {
        await place.addNode('node-3');
        await makeTwoPorts(place);
      },
      scene: { ...TWO_PORTS, nodes: THREE_NODES },
    },
    change: (place) => place.removeNode('node-3'),
    after: TWO_PORTS,
  },
};
