/** The world of the proxy provider without sockets: what applying each step does to what will be observed next. */
import { Claims } from '#providers/proxy/claims';
import { endpointKey, type ListenerSpec } from '#providers/proxy/listener-spec';
import type { Observed } from '#providers/proxy/observed';
import { parseProxyOptions, type ProxyOptions } from '#providers/proxy/options';
import { planLoadBalancer } from '#providers/proxy/plan';
import { portKey, type ProxyStep } from '#providers/proxy/steps';
import { usableNodes, type ObservedTargets } from '#providers/proxy/targets';
import { keyOf } from '#src/loadbalancer/identity';
import type { DesiredLoadBalancer, LoadBalancerId } from '#src/loadbalancer/model';
import type { Plan } from '#src/loadbalancer/provider';

export class PlanModel {
  readonly options: ProxyOptions;
  readonly claims: Claims;
  /** Addresses on the machine, with an interface. */
  readonly local: Set<string> = new Set();
  /** Addresses of each load balancer on which old connections go on. */
  readonly draining: Map<string, readonly string[]> = new Map();
  readonly #listeners = new Map<string, Map<string, ListenerSpec>>();
  readonly #targets = new Map<string, Map<string, ObservedTargets>>();

  constructor(raw: Readonly<Record<string, unknown>>) {
    this.options = parseProxyOptions(raw);
    this.claims = new Claims(this.options.pool);
  }

  observe(id: LoadBalancerId): Observed {
    const key = keyOf(id);
    return {
      id,
      addresses: this.claims.addressesOf(key),
      holdings: this.claims.holdings(),
      local: this.options.interface === undefined ? undefined : new Set(this.local),
      listeners: [...(this.#listeners.get(key)?.values() ?? [])],
      targets: [...(this.#targets.get(key)?.values() ?? [])],
      reserved: new Map([...this.claims.reservedBy(key)].map(([address, ports]) => [address, new Set(ports)])),
      draining: this.draining.get(key) ?? [],
    };
  }

  plan(desired: DesiredLoadBalancer | undefined, id: LoadBalancerId): Plan<ProxyStep> {
    return planLoadBalancer(desired, this.observe(id), this.options);
  }

  apply(step: ProxyStep): void {
    const key = keyOf(step.id);
    const listeners = this.#listeners.get(key) ?? new Map<string, ListenerSpec>();
    const targets = this.#targets.get(key) ?? new Map<string, ObservedTargets>();
    this.#listeners.set(key, listeners);
    this.#targets.set(key, targets);
    switch (step.kind) {
      case 'assignAddress':
        this.claims.assign(key, step.address);
        return;
      case 'addInterfaceAddress':
        this.local.add(step.address);
        return;
      case 'setTargets': {
        const { policy, healthCheckNodePort, nodes, endpointNodes } = step.targets;
        const usable = usableNodes(step.targets).map(({ name }) => name);
        const health = usable.length > 0 ? 'unchecked' : 'none';
        const { member } = step;
        const seen = {
          member,
          policy,
          healthCheckNodePort,
          nodesVersion: nodes.version,
          endpointNodes,
          usable,
          usableAddresses: usableNodes(step.targets).map(({ addresses }) => addresses),
          health,
        };
        targets.set(member, { ...seen, health });
        return;
      }
      case 'openListener':
      case 'updateListener': {
        const { spec } = step;
        if (!targets.has(spec.member)) throw new Error(`${endpointKey(spec)} opens before it has targets`);
        if (this.options.interface !== undefined && !this.local.has(spec.address)) {
          throw new Error(`${endpointKey(spec)} opens before its address is there`);
        }
        this.claims.takePort(key, spec.address, portKey(spec));
        listeners.set(endpointKey(spec), spec);
        return;
      }
      case 'closeListener':
        listeners.delete(endpointKey(step.endpoint));
        this.claims.freePort(key, step.endpoint.address, portKey(step.endpoint));
        return;
      case 'freePort':
        this.claims.freePort(key, step.address, step.port);
        return;
      case 'dropTargets':
        if ([...listeners.values()].some(({ member }) => member === step.member)) {
          throw new Error(`the targets of ${step.member} are dropped while it listens`);
        }
        targets.delete(step.member);
        return;
      case 'releaseAddress':
        if ([...listeners.values()].some(({ address }) => address === step.address)) {
          throw new Error(`${step.address} is released while something listens there`);
        }
        if (!this.claims.isHeldByOthers(key, step.address)) this.local.delete(step.address);
        this.claims.release(key, step.address);
    }
  }

  /** Plans and applies everything; returns the plan. */
  reconcile(desired: DesiredLoadBalancer | undefined, id: LoadBalancerId): Plan<ProxyStep> {
    const plan = this.plan(desired, id);
    for (const step of plan.steps) this.apply(step);
    return plan;
  }

  /** Every open socket, of all load balancers. */
  open(): readonly string[] {
    return [...this.#listeners.values()].flatMap((listeners) => [...listeners.keys()]);
  }
}
