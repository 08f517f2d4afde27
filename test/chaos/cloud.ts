/**
 * A small cloud for tests: load balancers, target groups and listeners that carry their owner as a tag and outlive
 * every controller. It refuses what a careful caller never asks for, and remembers each such request as a complaint.
 */
import { isIPv6 } from 'node:net';
import type { IpFamily, Protocol } from '#src/loadbalancer/model';

/** A load balancer and the addresses that it holds. */
export interface CloudBalancer {
  readonly id: string;
  /** The tag that says whose it is: a load balancer key, as `service/default/web`. */
  readonly owner: string;
  /** The tag that says for which Services it was made: their UIDs. */
  readonly members: readonly string[];
  /** At most one of each family, sorted. */
  readonly addresses: readonly string[];
}

/** Where the traffic of one listener goes; exists without a listener, too. */
export interface CloudTargetGroup {
  readonly id: string;
  readonly owner: string;
  /** UID of the Service that it serves. */
  readonly member: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** The families of the load balancer's addresses at which it serves. */
  readonly families: readonly IpFamily[];
  /** Everything else that decides what becomes of the traffic, as one text. */
  readonly config: string;
  /** `address:port`, sorted. */
  readonly targets: readonly string[];
}

export interface CloudListener {
  readonly id: string;
  /** Id of its load balancer. */
  readonly balancer: string;
  /** Id of its target group. */
  readonly targetGroup: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** All that exists, or all that one owner has; the addresses are always those of the whole cloud. */
export interface CloudState {
  readonly balancers: readonly CloudBalancer[];
  readonly targetGroups: readonly CloudTargetGroup[];
  readonly listeners: readonly CloudListener[];
  /** Every address that there is, in order, and the owner of the load balancer that holds it. */
  readonly addresses: readonly { readonly address: string; readonly owner?: string }[];
}

interface ById {
  readonly id: string;
}

/** What each request that changes something takes. */
export interface CloudRequests {
  readonly createBalancer: Omit<CloudBalancer, 'id'>;
  readonly setAddresses: ById & Pick<CloudBalancer, 'addresses'>;
  readonly setMembers: ById & Pick<CloudBalancer, 'members'>;
  readonly deleteBalancer: ById;
  readonly createTargetGroup: Omit<CloudTargetGroup, 'id' | 'targets'>;
  readonly changeTargetGroup: ById & Pick<CloudTargetGroup, 'member' | 'families' | 'config'>;
  readonly setTargets: ById & Pick<CloudTargetGroup, 'targets'>;
  readonly deleteTargetGroup: ById;
  readonly createListener: Omit<CloudListener, 'id'>;
  readonly deleteListener: ById;
}

export type CloudAction = keyof CloudRequests;

/** The cloud says no. */
export class CloudRefusal extends Error {
  override readonly name = 'CloudRefusal';
  /** 404: no such thing. 409: another load balancer has the address. 400: what only a mistake asks for. */
  readonly status: 400 | 404 | 409;

  constructor(status: 400 | 404 | 409, message: string) {
    super(message);
    this.status = status;
  }
}

export class Cloud {
  /** Every request that only a mistake explains: doubles, and deleting what is in use. */
  readonly complaints: string[] = [];
  readonly #addresses: readonly string[];
  readonly #balancers = new Map<string, CloudBalancer>();
  readonly #targetGroups = new Map<string, CloudTargetGroup>();
  readonly #listeners = new Map<string, CloudListener>();
  #made = 0;

  /** `addresses`: those that load balancers may have. */
  constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
  }

  /** All of it, or what carries this owner's tag. */
  describe(owner?: string): CloudState {
    const isWanted = (each: { readonly owner: string }): boolean => owner === undefined || each.owner === owner;
    const all = [...this.#balancers.values()];
    const balancers = all.filter(isWanted);
    return {
      balancers,
      targetGroups: [...this.#targetGroups.values()].filter(isWanted),
      listeners: [...this.#listeners.values()].filter(({ balancer }) => balancers.some(({ id }) => id === balancer)),
      addresses: this.#addresses.map((address) => {
        const holder = all.find(({ addresses }) => addresses.includes(address));
        return { address, ...(holder && { owner: holder.owner }) };
      }),
    };
  }

  /** `<address>:<port>/<protocol>` for everything that clients can reach. */
  reachable(): readonly string[] {
    return [...this.#listeners.values()].flatMap(({ balancer, targetGroup, port, protocol }) => {
      const { families } = get(this.#targetGroups, targetGroup);
      return get(this.#balancers, balancer)
        .addresses.filter((address) => families.includes(isIPv6(address) ? 'IPv6' : 'IPv4'))
        .map((address) => `${isIPv6(address) ? `[${address}]` : address}:${port}/${protocol}`);
    });
  }

  /** Carries out a request at once and wholly, or throws a CloudRefusal; gives the id of what it is about. */
  readonly actions: { readonly [Action in CloudAction]: (request: CloudRequests[Action]) => string } = {
    createBalancer: (request) => {
      const double = [...this.#balancers.values()].find(({ owner }) => owner === request.owner);
      if (double) throw this.#complaint(`${request.owner} has a load balancer already: ${double.id}`);
      this.#checkFree(request.addresses);
      const id = this.#newId('balancer');
      this.#balancers.set(id, { ...request, id });
      return id;
    },
    setAddresses: ({ id, addresses }) => {
      this.#checkFree(addresses, id);
      return change(this.#balancers, id, { addresses });
    },
    setMembers: ({ id, members }) => change(this.#balancers, id, { members }),
    deleteBalancer: ({ id }) => {
      const used = [...this.#listeners.values()].find(({ balancer }) => balancer === id);
      if (used) throw this.#complaint(`${id} has listeners yet: ${used.id}`);
      return remove(this.#balancers, id);
    },
    createTargetGroup: (request) => {
      const { owner, port, protocol } = request;
      const double = [...this.#targetGroups.values()].find(
        (each) => each.owner === owner && each.port === port && each.protocol === protocol,
      );
      if (double) throw this.#complaint(`${owner} has a target group for ${port}/${protocol} already: ${double.id}`);
      const id = this.#newId('target-group');
      this.#targetGroups.set(id, { ...request, id, targets: [] });
      return id;
    },
    changeTargetGroup: ({ id, ...content }) => change(this.#targetGroups, id, content),
    setTargets: ({ id, targets }) => change(this.#targetGroups, id, { targets }),
    deleteTargetGroup: ({ id }) => {
      const used = [...this.#listeners.values()].find(({ targetGroup }) => targetGroup === id);
      if (used) throw this.#complaint(`${id} is used by ${used.id}`);
      return remove(this.#targetGroups, id);
    },
    createListener: (request) => {
      const { balancer, targetGroup, port, protocol } = request;
      get(this.#balancers, balancer);
      get(this.#targetGroups, targetGroup);
      const double = [...this.#listeners.values()].find(
        (each) => each.balancer === balancer && each.port === port && each.protocol === protocol,
      );
      if (double) throw this.#complaint(`${balancer} has a listener for ${port}/${protocol} already: ${double.id}`);
      const id = this.#newId('listener');
      this.#listeners.set(id, { ...request, id });
      return id;
    },
    deleteListener: ({ id }) => remove(this.#listeners, id),
  };

  #newId(kind: string): string {
    this.#made += 1;
    return `${kind}-${this.#made}`;
  }

  #checkFree(addresses: readonly string[], forId?: string): void {
    const others = [...this.#balancers.values()].filter(({ id }) => id !== forId);
    for (const address of addresses) {
      if (!this.#addresses.includes(address)) throw this.#complaint(`there is no address ${address}`);
      const holder = others.find((each) => each.addresses.includes(address));
      if (holder) throw new CloudRefusal(409, `${address} belongs to ${holder.owner}`);
    }
  }

  #complaint(message: string): CloudRefusal {
    this.complaints.push(message);
    return new CloudRefusal(400, message);
  }
}

function get<T>(things: ReadonlyMap<string, T>, id: string): T {
  const thing = things.get(id);
  if (thing === undefined) throw new CloudRefusal(404, `there is no ${id}`);
  return thing;
}

function change<T>(things: Map<string, T>, id: string, part: Partial<T>): string {
  things.set(id, { ...get(things, id), ...part });
  return id;
}

function remove(things: Map<string, unknown>, id: string): string {
  get(things, id);
  things.delete(id);
  return id;
}
