/** What must be there once all is quiet, and whether it is. */
import { expect } from 'vitest';
import { keyOf } from '#src/loadbalancer/identity';
import type { Service } from '#src/kube/wire';
import { finalizerOf, UPSTREAM_FINALIZER } from '#src/service/finalizers';
import { condition, isProgrammed, nodePorts } from '../service/cluster.ts';
import type { Place } from './place.ts';

/** A port of TCP, or one with its protocol. */
export type Port = number | `${number}/UDP`;

/** The ports of each Service, by its name. */
export type Members = Readonly<Record<string, readonly Port[]>>;

/** `80` is `80/TCP`. */
export function inFull(port: Port): string {
  return typeof port === 'number' ? `${port}/TCP` : port;
}

export interface Scene {
  /** By name (`service/a`, `group/shared`): the Services that it serves. There are no others. */
  readonly loadBalancers: Readonly<Record<string, Members>>;
  /** Services that live on without a load balancer. All that are not named anywhere are gone. */
  readonly released?: readonly string[];
  /** Services without a class, which have upstream's finalizer as well. */
  readonly classless?: readonly string[];
  /** The nodes that get the traffic; the lane's own by default. */
  readonly nodes?: readonly string[];
}

/** Throws an assertion error that says what is not as it must be. */
export async function checkScene(scene: Scene, place: Place): Promise<void> {
  const services = await place.services();
  const members = Object.values(scene.loadBalancers).flatMap((each) => Object.keys(each));
  expect([...services.keys()].toSorted(), 'Services that exist').toEqual(
    [...members, ...(scene.released ?? [])].toSorted(),
  );
  for (const name of members) {
    const upstream = scene.classless?.includes(name) ? [UPSTREAM_FINALIZER] : [];
    checkServed(serviceOf(services, name), [finalizerOf(place.provider), ...upstream]);
  }
  for (const name of scene.released ?? []) checkReleased(serviceOf(services, name));
  await checkOutside(scene, services, place);
}

function serviceOf(services: ReadonlyMap<string, Service>, name: string): Service {
  const service = services.get(name);
  if (!service) throw new Error(`there is no Service ${name}`);
  return service;
}

function checkServed(service: Service, wanted: readonly string[]): void {
  const { name, finalizers } = service.metadata;
  expect(finalizers, `finalizers of ${name}`).toEqual(wanted);
  for (const type of ['Accepted', 'Programmed', 'Ready']) {
    expect(condition(service, type)?.status, `${type} of ${name}`).toBe('True');
  }
  expect(isProgrammed(service), `Programmed of ${name} is about the present ports and address`).toBe(true);
}

function checkReleased({ metadata: { name, finalizers }, status }: Service): void {
  expect(finalizers, `finalizers of ${name}`).toBeUndefined();
  expect(status?.conditions ?? [], `conditions of ${name}`).toEqual([]);
  expect(status?.loadBalancer?.ingress ?? [], `addresses of ${name}`).toEqual([]);
}

async function checkOutside(scene: Scene, services: ReadonlyMap<string, Service>, place: Place): Promise<void> {
  const { outside, namespace } = place;
  const nodes = place.nodeAddresses(scene.nodes);
  const paths: string[] = [];
  const holders: string[] = [];
  const addresses = new Set<string>();
  for (const [balancer, members] of Object.entries(scene.loadBalancers)) {
    const own = new Set<string>();
    const uids: string[] = [];
    for (const [name, ports] of Object.entries(members)) {
      const service = serviceOf(services, name);
      uids.push(service.metadata.uid);
      const address = addressOf(service);
      own.add(address);
      for (const [index, port] of ports.entries()) {
        const targets = nodes.map((node) => `${node}:${nodePorts(service)[index]}`);
        paths.push(`${address}:${inFull(port)} to ${targets.toSorted().join(', ')}`);
      }
    }
    expect([...own], `addresses of ${balancer}`).toHaveLength(1);
    const [kind, name] = balancer.split('/');
    holders.push(`${kind}/${namespace.name}/${name} held by ${uids.toSorted().join(', ')}`);
    for (const address of own) addresses.add(address);
  }
  expect(addresses.size, 'addresses of all load balancers').toBe(Object.keys(scene.loadBalancers).length);
  const found = await outside.paths();
  const words = found.map(
    ({ address, port, protocol, targets }) => `${address}:${port}/${protocol} to ${targets.toSorted().join(', ')}`,
  );
  expect(words.toSorted(), 'ways of the traffic').toEqual(paths.toSorted());
  const inventory = await outside.inventory();
  expect(
    inventory.map(({ id, members }) => `${keyOf(id)} held by ${members.toSorted().join(', ')}`).toSorted(),
    'load balancers outside',
  ).toEqual(holders.toSorted());
}

/** The only address that the Service shows. */
export function addressOf({ metadata: { name }, status }: Service): string {
  const ingress = status?.loadBalancer?.ingress ?? [];
  expect(ingress, `addresses of ${name}`).toHaveLength(1);
  return ingress[0]?.ip ?? ingress[0]?.hostname ?? '';
}
