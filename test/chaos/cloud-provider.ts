/**
 * A provider whose load balancers are in the small cloud, outside the controller's process, as those of a real cloud
 * are: a step takes up to three requests, and whoever comes next finds what a process that died has left.
 */
import { isDeepStrictEqual } from 'node:util';
import { parseKey } from '#src/loadbalancer/identity';
import { parseIp } from '#src/loadbalancer/ip';
import { listenerKey, type DesiredLoadBalancer, type LoadBalancerId } from '#src/loadbalancer/model';
import type { ProviderDefinition } from '#src/loadbalancer/definition';
import type {
  Address,
  ApplyContext,
  Capabilities,
  InventoryEntry,
  LoadBalancerStatus,
  Plan,
  Provider,
  ProviderContext,
} from '#src/loadbalancer/provider';
import { BallastError } from '#src/errors';
import type { CloudState } from './cloud.ts';
import { CloudClient } from './cloud-client.ts';
import { ownerOf, planCloud, type CloudObserved, type CloudStep, type TargetGroupContent } from './cloud-plan.ts';

/** The provider as a registry lists it. */
export const CLOUD: ProviderDefinition = {
  loadBalancerClass: 'ballast.dev/cloud',
  options: [
    { name: 'cloud-url', type: 'text', form: 'an http:// URL', meaning: 'Where the small cloud of the tests answers.' },
  ],
  async create(values) {
    const url = values['cloud-url'];
    if (typeof url === 'string') return new CloudProvider(new CloudClient(url));
    throw new BallastError('InvalidConfig', '--cloud-url is missing.', { field: 'cloud-url' });
  },
};

export class CloudProvider implements Provider<CloudObserved, CloudStep> {
  readonly name = 'cloud';
  readonly loadBalancerClass: string = CLOUD.loadBalancerClass;
  readonly capabilities: Capabilities = {
    needsNodePorts: true,
    protocols: ['TCP', 'UDP'],
    ipMode: 'VIP',
    sharing: true,
    maxListeners: 50,
    settings: ['algorithm', 'proxyProtocol', 'idleTimeoutSeconds', 'maxConnections', 'drainTimeoutSeconds'],
    inProcess: false,
    seenFromOutside: true,
  };
  readonly #client: CloudClient;

  constructor(client: CloudClient) {
    this.#client = client;
  }

  /** The cloud itself knows which addresses are in use. */
  restore(): void {}

  async observe(id: LoadBalancerId, { signal }: ProviderContext): Promise<CloudObserved> {
    signal.throwIfAborted();
    return { id, ...(await this.#client.describe(signal, ownerOf(id))) };
  }

  plan(desired: DesiredLoadBalancer | undefined, observed: CloudObserved): Plan<CloudStep> {
    return planCloud(desired, observed);
  }

  /** Looks first, so that what a step has done already is not done twice. */
  async apply(step: CloudStep, { signal, fence }: ApplyContext): Promise<void> {
    signal.throwIfAborted();
    const owner = ownerOf(step.id);
    const client = this.#client;
    const found = await client.describe(signal, owner);
    const [balancer] = found.balancers;
    const mayWrite = (): void => {
      signal.throwIfAborted();
      fence();
    };
    mayWrite();
    switch (step.kind) {
      case 'create-balancer':
        if (!balancer) await client.change('createBalancer', { owner, ...step.content });
        return;
      case 'set-addresses':
        await client.change('setAddresses', { id: needed(balancer, step).id, addresses: step.addresses });
        return;
      case 'set-members':
        await client.change('setMembers', { id: needed(balancer, step).id, members: step.members });
        return;
      case 'put-listener':
        return this.#put(step.content, { owner, balancer: needed(balancer, step).id, found, mayWrite });
      case 'remove-listener':
        return this.#remove(step.listener, found, mayWrite);
      case 'delete-balancer':
        if (balancer) await client.change('deleteBalancer', { id: balancer.id });
    }
  }

  status(desired: DesiredLoadBalancer, { balancers, targetGroups }: CloudObserved): LoadBalancerStatus {
    const addresses = (balancers[0]?.addresses ?? []).flatMap((ip): Address[] => {
      const family = parseIp(ip)?.family;
      return family ? [{ kind: 'ip', ip, family }] : [];
    });
    const readiness = desired.members.map(({ ref: { uid } }) => {
      const ready = targetGroups.some(({ member, targets }) => member === uid && targets.length > 0);
      const answer = ready
        ? { ready, reason: 'HasTargets', message: 'Traffic arrives.' }
        : { ready, reason: 'NoTargets', message: 'No node has the Service.' };
      return [uid, answer] as const;
    });
    return { addresses, readiness: new Map(readiness) };
  }

  holders(observed: CloudObserved): readonly string[] {
    return holdersOf(observed);
  }

  async inventory({ signal }: ProviderContext): Promise<readonly InventoryEntry[]> {
    signal.throwIfAborted();
    const all = await this.#client.describe(signal);
    const owners = new Set([...all.balancers, ...all.targetGroups].map(({ owner }) => owner));
    return [...owners].map((owner) => ({
      id: parseKey(owner),
      members: holdersOf({
        balancers: all.balancers.filter((each) => each.owner === owner),
        targetGroups: all.targetGroups.filter((each) => each.owner === owner),
      }),
    }));
  }

  /** Nothing changes by itself. */
  onChange(): void {}

  async run(signal: AbortSignal): Promise<void> {
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    }
    await this.#client.close();
  }

  async #put(content: TargetGroupContent, { owner, balancer, found, mayWrite }: Site): Promise<void> {
    const client = this.#client;
    const { targets, ...rest } = content;
    const { port, protocol, member, families, config } = content;
    const present = found.targetGroups.find((each) => listenerKey(each) === listenerKey(content));
    const targetGroup = present?.id ?? (await client.change('createTargetGroup', { owner, ...rest }));
    mayWrite();
    if (present && !isDeepStrictEqual([present.member, present.families, present.config], [member, families, config])) {
      await client.change('changeTargetGroup', { id: present.id, member, families, config });
    }
    mayWrite();
    if (!isDeepStrictEqual(present?.targets ?? [], targets)) {
      await client.change('setTargets', { id: targetGroup, targets });
    }
    mayWrite();
    if (!found.listeners.some((each) => each.targetGroup === targetGroup)) {
      await client.change('createListener', { balancer, targetGroup, port, protocol });
    }
  }

  async #remove(ref: Parameters<typeof listenerKey>[0], found: CloudState, mayWrite: () => void): Promise<void> {
    const isMeant = (each: typeof ref): boolean => listenerKey(each) === listenerKey(ref);
    const listener = found.listeners.find(isMeant);
    if (listener) await this.#client.change('deleteListener', { id: listener.id });
    mayWrite();
    const targetGroup = found.targetGroups.find(isMeant);
    if (targetGroup) await this.#client.change('deleteTargetGroup', { id: targetGroup.id });
  }
}

/** Where a listener is to be, and what is there. */
interface Site {
  readonly owner: string;
  /** Id of the load balancer. */
  readonly balancer: string;
  readonly found: CloudState;
  /** To be called before every write but the first; throws when it must not be made. */
  readonly mayWrite: () => void;
}

function needed<T>(balancer: T | undefined, { summary }: CloudStep): T {
  if (balancer !== undefined) return balancer;
  throw new BallastError('ClaimLost', `The load balancer went away before this could be done: ${summary}.`);
}

/** The tags of the load balancer and of its target groups: while it changes, they differ. */
function holdersOf({ balancers, targetGroups }: Pick<CloudState, 'balancers' | 'targetGroups'>): readonly string[] {
  const tagged = balancers.flatMap(({ members }) => members);
  return [...new Set([...tagged, ...targetGroups.map(({ member }) => member)])];
}
