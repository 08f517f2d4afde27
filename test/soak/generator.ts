/** Makes up what happens in a round. Only the seed decides: nothing that a cluster did has any part in it. */
import { after, NOTHING, type Intent } from './intent.ts';
import type { Random } from './random.ts';
import type { Action, Asked, AskedPort, CloudFault, FaultAction, Head, Line, NetworkFault } from './script.ts';
import type { NodeState, Operation, Protocol, Tampering, Which } from './script.ts';
import { CLOUD_POOL, NODE_ADDRESSES, NODE_NAMES, OPEN_GROUP, POOL_SIZE, PORT_COUNT, SERVICE_NAMES } from './site.ts';

/** Nodes that are there from the start. */
const FIRST_NODES = 3;
const OPERATIONS = { least: 4, most: 14 } as const;
const FAULTS = { least: 0, most: 3 } as const;
/** Longest pause between two actions, in milliseconds; most follow at once. */
const LONGEST_PAUSE_MS = 600;

const TAMPERINGS: readonly Tampering[] = [
  'status-gone',
  'ingress-gone',
  'ingress-foreign',
  'conditions-gone',
  'condition-false',
  'condition-foreign',
  'finalizers-gone',
  'foreign-finalizer-on',
  'foreign-finalizer-off',
];

/** Annotations that nobody can use, each of another kind. */
const MISTYPED: readonly Readonly<Record<string, string>>[] = [
  { algorithm: 'fastest' },
  { 'idle-timeout': 'soon' },
  { 'max-connections': '0' },
  { addresses: 'not-an-address' },
  { addresses: '@1,@2' },
  { 'load-balancer': 'No Good!' },
  { 'load-balancer': 'elsewhere/group' },
  { algoritm: 'round-robin' },
];

export class Generator {
  readonly #random: Random;
  readonly #ipv6: boolean;
  readonly #cloud: boolean;
  #intent: Intent = NOTHING;
  #round = 0;

  /** What takes part is as the head says. */
  constructor(random: Random, { ipv6, cloud = false }: Pick<Head, 'ipv6' | 'cloud'>) {
    this.#random = random;
    this.#ipv6 = ipv6;
    this.#cloud = cloud;
  }

  /** The actions of the next round. The first makes what everything else is about, and has no faults. */
  next(): readonly Line[] {
    this.#round += 1;
    const actions = this.#round === 1 ? this.#first() : this.#mixed();
    return actions.map((action) => ({ round: this.#round, afterMs: this.#pause(), action }));
  }

  #pause(): number {
    return this.#random.chance(0.6) ? 0 : this.#random.integer(1, LONGEST_PAUSE_MS);
  }

  #first(): readonly Action[] {
    const nodes = NODE_NAMES.slice(0, FIRST_NODES).map((node, address) =>
      this.#note({ do: 'node', node, state: { address, excluded: false, tainted: false, ready: true } }),
    );
    const services = this.#random
      .some(SERVICE_NAMES, 6)
      .map((service) => this.#note({ do: 'create', service, asked: this.#asked() }));
    return [...nodes, ...services];
  }

  #mixed(): readonly Action[] {
    const operations = Array.from({ length: this.#random.integer(OPERATIONS.least, OPERATIONS.most) }, () =>
      this.#note(this.#operation()),
    );
    const actions: Action[] = operations.flat();
    const faults = this.#random.integer(FAULTS.least, FAULTS.most);
    for (let count = 0; count < faults; count++) {
      actions.splice(this.#random.integer(0, actions.length), 0, this.#fault());
    }
    return actions;
  }

  #note<T extends Operation>(operation: T): T {
    this.#intent = after(this.#intent, operation);
    return operation;
  }

  #operation(): Operation {
    const present = [...this.#intent.services.keys()];
    const absent = SERVICE_NAMES.filter((name) => !this.#intent.services.has(name));
    const kind = this.#random.weighted([
      [absent.length > 0 ? 4 : 0, 'create'],
      [present.length > 3 ? 2 : 0, 'delete'],
      [present.length > 0 ? 2 : 0, 'recreate'],
      [present.length > 0 ? 16 : 0, 'edit'],
      [present.length > 0 ? 4 : 0, 'tamper'],
      [3, 'node'],
      [4, 'endpoints'],
    ] as const);
    switch (kind) {
      case 'create':
        return { do: 'create', service: this.#random.pick(absent), asked: this.#asked() };
      case 'delete':
        return { do: 'delete', service: this.#random.pick(present) };
      case 'recreate':
        return { do: 'recreate', service: this.#random.pick(present), asked: this.#asked() };
      case 'edit':
        return this.#edit(this.#random.pick(present));
      case 'tamper':
        return { do: 'tamper', service: this.#random.pick(present), what: this.#random.pick(TAMPERINGS) };
      case 'node':
        return this.#node();
      default:
        return this.#endpoints();
    }
  }

  #asked(): Asked {
    const random = this.#random;
    const dual: Asked['families'][] = this.#ipv6 ? [['IPv6'], ['IPv4', 'IPv6'], ['IPv6', 'IPv4']] : [['IPv4']];
    return {
      type: random.weighted([
        [8, 'LoadBalancer'],
        [1, 'ClusterIP'],
        [1, 'NodePort'],
      ] as const),
      class: this.#class(),
      ports: this.#ports(random.integer(1, 3)),
      families: random.chance(0.65) ? ['IPv4'] : random.pick(dual),
      requiresBoth: random.chance(0.3),
      policy: random.chance(0.3) ? 'Local' : 'Cluster',
      ranges: this.#ranges(),
      nodePorts: random.chance(0.8),
      affinity: random.chance(0.2),
      annotations: random.chance(0.5) ? {} : this.#annotations(),
    };
  }

  #class(): Asked['class'] {
    return this.#random.weighted([
      [5, 'own'],
      [3, 'none'],
      [1, 'moved'],
      [this.#cloud ? 5 : 0, 'cloud'],
      [1, 'foreign'],
    ] as const);
  }

  #ports(count: number): readonly AskedPort[] {
    const places = Array.from({ length: PORT_COUNT }, (_, place) => place);
    return this.#random.some(places, count).map((port) => ({ port, protocol: this.#protocol() }));
  }

  #protocol(): Protocol {
    return this.#random.weighted([
      [12, 'TCP'],
      [5, 'UDP'],
      [1, 'SCTP'],
    ] as const);
  }

  #ranges(): readonly string[] {
    return this.#random.weighted<readonly string[]>([
      [10, []],
      [2, ['@in']],
      [1, ['@in', this.#ipv6 ? '@v6' : '198.51.100.0/24']],
      [1, ['198.51.100.0/24']],
    ]);
  }

  /** Groups, requested addresses, settings and mistakes; never all at once. */
  #annotations(): Readonly<Record<string, string>> {
    const random = this.#random;
    const one = (): Readonly<Record<string, string>> =>
      random.weighted([
        [4, { 'load-balancer': random.pick(['red', 'blue']) }],
        [2, { 'load-balancer': `${OPEN_GROUP.namespace}/${OPEN_GROUP.name}` }],
        [4, { addresses: `@${random.integer(0, POOL_SIZE - 1)}` }],
        [this.#cloud ? 3 : 0, { addresses: `@c${random.integer(0, CLOUD_POOL.length - 1)}` }],
        [1, { addresses: '@out' }],
        [this.#ipv6 ? 1 : 0, { addresses: random.pick(['@six', `@${random.integer(0, POOL_SIZE - 1)},@six`]) }],
        [2, random.pick([{ algorithm: 'least-connections' }, { 'drain-timeout': '1' }, { 'max-connections': '50' }])],
        [3, random.pick(MISTYPED)],
      ]);
    return random.chance(0.25) ? { ...one(), ...one() } : one();
  }

  #edit(service: string): Operation {
    const asked = this.#intent.services.get(service);
    if (!asked) throw new Error(`${service} is not there`);
    const change = this.#change(asked);
    return { do: 'edit', service, change };
  }

  #change(asked: Asked): Partial<Asked> {
    const random = this.#random;
    const { ports } = asked;
    const others = this.#ports(PORT_COUNT).filter(({ port }) => !ports.some((own) => own.port === port));
    const isBalanced = asked.type === 'LoadBalancer';
    const kind = random.weighted([
      [others.length > 0 ? 2 : 0, 'add port'],
      [ports.length > 1 ? 2 : 0, 'remove port'],
      [others.length > 0 ? 2 : 0, 'change port'],
      [2, 'change protocol'],
      [isBalanced ? 3 : 8, 'type'],
      [2, 'policy'],
      [2, 'ranges'],
      [6, 'annotate'],
      [4, 'plain'],
      [1, 'affinity'],
    ] as const);
    switch (kind) {
      case 'add port':
        return { ports: [...ports, ...others.slice(0, 1)] };
      case 'remove port':
        return { ports: random.some(ports, ports.length - 1) };
      case 'change port':
        return { ports: [...ports.slice(1), ...others.slice(0, 1)] };
      case 'change protocol': {
        const changed = random.pick(ports);
        return { ports: ports.map((port) => (port === changed ? { ...port, protocol: this.#protocol() } : port)) };
      }
      case 'type':
        // The class can only change on the way to another type.
        return isBalanced
          ? { type: random.pick(['ClusterIP', 'NodePort']) }
          : { type: 'LoadBalancer', class: this.#class() };
      case 'policy':
        return { policy: asked.policy === 'Local' ? 'Cluster' : 'Local' };
      case 'ranges':
        return { ranges: this.#ranges() };
      case 'annotate':
        return {
          annotations: random.chance(0.4) ? { ...asked.annotations, ...this.#annotations() } : this.#annotations(),
        };
      case 'plain':
        return { annotations: {} };
      default:
        return { affinity: !asked.affinity };
    }
  }

  #node(): Operation {
    const random = this.#random;
    const node = random.pick(NODE_NAMES);
    const state = this.#intent.nodes.get(node);
    if (!state) {
      const fresh = { address: this.#freeAddress(), excluded: false, tainted: false, ready: random.chance(0.8) };
      return { do: 'node', node, state: fresh };
    }
    // Never the last one: what becomes of a cluster without nodes is for a test of its own.
    const last = [...this.#intent.nodes.values()].filter(isEligible).length <= 2 && isEligible(state);
    const change = random.weighted<Partial<NodeState> | undefined>([
      [last ? 0 : 2, undefined],
      [last && !state.excluded ? 0 : 2, { excluded: !state.excluded }],
      [last && !state.tainted ? 0 : 2, { tainted: !state.tainted }],
      [2, { ready: !state.ready }],
      [2, { address: this.#freeAddress() }],
    ]);
    return { do: 'node', node, state: change && { ...state, ...change } };
  }

  #freeAddress(): number {
    const used = new Set([...this.#intent.nodes.values()].map(({ address }) => address));
    const places = Array.from({ length: NODE_ADDRESSES }, (_, place) => place);
    return this.#random.pick(places.filter((place) => !used.has(place)));
  }

  #endpoints(): Operation {
    const random = this.#random;
    const locals = [...this.#intent.services].filter(([, { policy }]) => policy === 'Local').map(([name]) => name);
    const service = locals.length > 0 && random.chance(0.8) ? random.pick(locals) : random.pick(SERVICE_NAMES);
    if (random.chance(0.15)) return { do: 'endpoints', service, endpoints: undefined };
    const endpoints = random.some(NODE_NAMES, random.integer(1, 3)).map((node) => {
      const ready = random.chance(0.7);
      return { node, ready, serving: ready || random.chance(0.5) };
    });
    return { do: 'endpoints', service, endpoints };
  }

  #fault(): FaultAction {
    const random = this.#random;
    const which = random.weighted<Which>([
      [6, 'leader'],
      [2, 'follower'],
      [2, 'both'],
    ]);
    const kind = random.weighted([
      [7, 'network'],
      [this.#cloud ? 3 : 0, 'cloud-network'],
      [2, 'cut-connections'],
      [3, 'cut-watches'],
      [2, 'cut-lists'],
      [1, 'kill-api-server'],
      [1, 'pause-api-server'],
      [2, 'terminate'],
      [3, 'kill'],
      [2, 'pause'],
    ] as const);
    switch (kind) {
      case 'network': {
        const fault = random.pick<NetworkFault>([
          'refusals',
          'gone',
          'slow',
          'lost-responses',
          'hang',
          'freeze',
          'no-connection',
          'stale-lists',
        ]);
        return { do: kind, fault, which, ...this.#extent() };
      }
      case 'cloud-network': {
        const fault = random.pick<CloudFault>(['refusals', 'slow', 'lost-responses', 'no-connection']);
        return { do: kind, fault, which, ...this.#extent() };
      }
      case 'cut-connections':
      case 'terminate':
      case 'kill':
        return { do: kind, which };
      case 'cut-watches':
      case 'cut-lists': {
        const how = random.pick(['reset', 'end'] as const);
        return { do: kind, which, afterBytes: random.integer(0, 4_000), times: random.integer(1, 6), how };
      }
      case 'kill-api-server':
        return { do: kind, forMs: random.integer(0, 3_000) };
      case 'pause-api-server':
        return { do: kind, forMs: random.integer(200, 3_000) };
      default:
        // A pause that outlasts the Lease is another fault than one that does not.
        return { do: 'pause', which, forMs: random.pick([500, 2_000, 12_000]) };
    }
  }

  /** How long a fault of a network lasts, and what of it is hit. */
  #extent(): { readonly forMs: number; readonly share: number; readonly seed: number } {
    const random = this.#random;
    return { forMs: random.integer(200, 3_000), share: random.pick([0.2, 0.5, 1]), seed: random.integer(0, 1e9) };
  }
}

function isEligible({ excluded, tainted }: NodeState): boolean {
  return !excluded && !tainted;
}
