/** The changes that the proxy provider can make, and how each reads. */
import { parseIp } from '#src/loadbalancer/ip';
import type { ListenerRef, LoadBalancerId } from '#src/loadbalancer/model';
import { listenerKey } from '#src/loadbalancer/model';
import type { PlanStep } from '#src/loadbalancer/provider';
import { drains, endpointKey, keyAt, specChanges, type Endpoint, type ListenerSpec } from './listener-spec.ts';
import { nodesChange, usableNodes, type NodesChange, type ObservedTargets, type Targets } from './targets.ts';

interface Step extends PlanStep {
  readonly id: LoadBalancerId;
}

export interface AssignAddress extends Step {
  readonly kind: 'assignAddress';
  readonly address: string;
}

export interface AddInterfaceAddress extends Step {
  readonly kind: 'addInterfaceAddress';
  readonly address: string;
  readonly interface: string;
}

export interface SetTargets extends Step {
  readonly kind: 'setTargets';
  /** UID. */
  readonly member: string;
  readonly targets: Targets;
}

export interface OpenListener extends Step {
  readonly kind: 'openListener';
  readonly spec: ListenerSpec;
}

export interface UpdateListener extends Step {
  readonly kind: 'updateListener';
  readonly spec: ListenerSpec;
}

export interface CloseListener extends Step {
  readonly kind: 'closeListener';
  readonly endpoint: Endpoint;
}

export interface FreePort extends Step {
  readonly kind: 'freePort';
  readonly address: string;
  /** `80/TCP`. */
  readonly port: string;
}

export interface DropTargets extends Step {
  readonly kind: 'dropTargets';
  /** UID. */
  readonly member: string;
}

export interface ReleaseAddress extends Step {
  readonly kind: 'releaseAddress';
  readonly address: string;
}

export type ProxyStep =
  | AssignAddress
  | AddInterfaceAddress
  | SetTargets
  | OpenListener
  | UpdateListener
  | CloseListener
  | FreePort
  | DropTargets
  | ReleaseAddress;

export function assignAddress(id: LoadBalancerId, address: string): AssignAddress {
  return { kind: 'assignAddress', id, address, impact: 'none', scope: address, summary: `Assign ${address}` };
}

export function addInterfaceAddress(id: LoadBalancerId, address: string, device: string): AddInterfaceAddress {
  const summary = `Add ${address} to ${device}`;
  return { kind: 'addInterfaceAddress', id, address, interface: device, impact: 'none', scope: address, summary };
}

const NO_CHANGE: NodesChange = { added: [], removed: [], moved: [] };

/** `name` is the member's, for the text. */
export function setTargets(
  id: LoadBalancerId,
  { uid, name }: { readonly uid: string; readonly name: string },
  targets: Targets,
  before: ObservedTargets | undefined,
): SetTargets {
  const count = usableNodes(targets).length;
  const { added, removed, moved } = before ? nodesChange(before, targets) : NO_CHANGE;
  const changes = [...some('add', added), ...some('remove', removed), ...some('change address of', moved)];
  const how = targets.policy === 'Local' ? ' that have an endpoint' : '';
  return {
    kind: 'setTargets',
    id,
    member: uid,
    targets,
    impact: removed.length + moved.length > 0 ? 'drains' : 'none',
    summary:
      `Send traffic of ${name} to ${count} ${count === 1 ? 'node' : 'nodes'}${how}` +
      (changes.length > 0 ? ` (${changes.join('; ')})` : ''),
  };
}

export function openListener(id: LoadBalancerId, spec: ListenerSpec): OpenListener {
  const { nodePort } = spec;
  const summary =
    nodePort === 0 ? `Reserve ${endpointKey(spec)}` : `Listen on ${endpointKey(spec)} for NodePort ${nodePort}`;
  return { kind: 'openListener', id, spec, impact: 'none', listener: refOf(spec), ...at(spec), summary };
}

export function updateListener(id: LoadBalancerId, spec: ListenerSpec, before: ListenerSpec): UpdateListener {
  const narrowed = spec.protocol === 'UDP' && specChanges(before, spec).includes('source ranges');
  return {
    kind: 'updateListener',
    id,
    spec,
    // TCP connections that are open stay; UDP sessions of clients that are no longer allowed end.
    impact: narrowed && spec.settings.sourceRanges.length > 0 ? 'breaks' : 'none',
    listener: refOf(spec),
    ...at(spec),
    summary: `Change ${endpointKey(spec)}: ${specChanges(before, spec).join(', ')}`,
  };
}

/** `needs`: what serves its clients from then on. */
export function closeListener(id: LoadBalancerId, spec: ListenerSpec, needs: readonly string[]): CloseListener {
  const { address, family, port, protocol } = spec;
  const endpoint: Endpoint = { address, family, port, protocol };
  return {
    kind: 'closeListener',
    id,
    endpoint,
    impact: drains(spec) ? 'drains' : 'breaks',
    frees: [endpointKey(spec)],
    listener: refOf(spec),
    scope: endpointKey(spec),
    needs,
    summary: `Stop listening on ${endpointKey(spec)}`,
  };
}

/** A port that was kept over a restart and is not wanted any more. */
export function freePort(id: LoadBalancerId, address: string, port: string): FreePort {
  const name = keyAt(address, port);
  const summary = `Let go of ${name}`;
  return { kind: 'freePort', id, address, port, impact: 'none', frees: [name], scope: name, summary };
}

/** `needs`: whatever must no longer be the member's, because its targets are the proof that it holds something. */
export function dropTargets(id: LoadBalancerId, member: string, needs: readonly string[]): DropTargets {
  const summary = `Forget the targets of the Service ${member}`;
  return { kind: 'dropTargets', id, member, impact: 'none', scope: member, needs, summary };
}

/** `needs`: the sockets on the address. */
export function releaseAddress(
  id: LoadBalancerId,
  address: string,
  device: string | undefined,
  needs: readonly string[],
): ReleaseAddress {
  const where = device === undefined ? '' : `, and remove it from ${device} unless it is used or was there before`;
  const family = parseIp(address)?.family;
  return {
    kind: 'releaseAddress',
    id,
    address,
    impact: 'none',
    frees: family === undefined ? [address] : [address, family],
    scope: address,
    needs,
    summary: `Release ${address}${where}`,
  };
}

/** The listener as the model names it. */
function refOf({ port, protocol }: Endpoint): ListenerRef {
  return { port, protocol };
}

/** A socket is nothing without its address. */
function at(endpoint: Endpoint): { readonly scope: string; readonly needs: readonly string[] } {
  return { scope: endpointKey(endpoint), needs: [endpoint.address] };
}

/** `80/TCP` of an endpoint. */
export function portKey(endpoint: Endpoint): string {
  return listenerKey(refOf(endpoint));
}

const NAMED = 5;

/** `add a, b and 3 more`; nothing for none. */
function some(verb: string, names: readonly string[]): readonly string[] {
  if (names.length === 0) return [];
  const rest = names.length - NAMED;
  return [`${verb} ${names.slice(0, NAMED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`];
}
