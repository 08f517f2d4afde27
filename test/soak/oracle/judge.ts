/**
 * Says what is wrong with a world that has come to rest. The rules are those of the documentation (`docs/reference.md`,
 * `docs/design.md`, `docs/proxy.md`), in code of the soak's own. Where several outcomes are right (which free address,
 * which of two Services has a port of a shared address) the outcome is taken from the world, and only has to agree
 * with everything else.
 */
import type { Service } from '#src/kube/wire';
import { checkCloud } from './cloud.ts';
import { groupsOf, type Candidate, type Group } from './groups.ts';
import { atHome } from './home.ts';
import { eligibleNodes, type EligibleNodes } from './nodes.ts';
import { familyOf, isOurs, PROVIDERS, requestOf, type ProviderName, type Request } from './request.ts';
import type { RequestedPort } from './request.ts';
import { checkSockets, expectedSockets } from './sockets.ts';
import { checkForsaken, checkMember, checkPresence, conditionOf, ingressOf, shownAddresses } from './statements.ts';
import type { Remembered, Verdict, World } from './world.ts';

/** A member of a load balancer with what it has got. */
export interface Outcome {
  readonly request: Request;
  /** In the order of its families; empty when it is not served. */
  readonly addresses: readonly string[];
  readonly ports: readonly RequestedPort[];
  /** Error codes of its ports: `80/TCP` → code. */
  readonly portErrors: ReadonlyMap<string, string>;
  /** Codes for which it is refused as a whole. */
  readonly refusals: readonly string[];
  /** Whether its own request is at fault. */
  readonly isInput: boolean;
  /**
   * Refused, but served all the same: with earlier wishes (settings, group, address), which are not judged, while ports,
   * NodePorts, nodes, endpoints and source ranges are those of the present.
   */
  readonly kept: boolean;
}

/** Asked again and again until it has no complaint. `before` is what the last round left, `touched` who changed since. */
export function judge(world: World, before: readonly Remembered[], touched: ReadonlySet<string>): Verdict {
  const present = world.services.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const requests = present.filter(isOurs).map((service) => requestOf(service, world.mayAskFor));
  const complaints: string[] = [...checkPresence(world)];
  for (const service of present.filter((each) => !isOurs(each))) complaints.push(...checkForsaken(service, world));

  const eligible = eligibleNodes(world.nodes);
  const parts = PROVIDERS.map((provider) => {
    const own = atHome(
      requests.filter((each) => each.provider === provider),
      world,
    );
    const isServed = (request: Request): boolean => heldAddresses(request, world.pools[provider]).length > 0;
    return judgeProvider(provider, groupsOf(own, isServed), { world, eligible, complaints });
  });
  const groups = parts.flatMap((part) => part.groups);
  const byProvider = (name: ProviderName): readonly Outcome[] =>
    parts.flatMap(({ provider, outcomes }) => (provider === name ? outcomes : []));

  const expected = expectedSockets(byProvider('proxy'), world, eligible);
  complaints.push(...checkSockets(expected, world));
  complaints.push(...checkCloud(byProvider('cloud'), world, eligible));
  const loadBalancers = parts.flatMap(({ outcomes }) => rememberAll(outcomes));
  complaints.push(...world.plans.map((plan) => `The leader would still do something: ${plan}`));
  complaints.push(...checkStability(before, loadBalancers, groups, touched));
  return { complaints, sockets: expected, loadBalancers };
}

interface Hearing {
  readonly world: World;
  readonly eligible: EligibleNodes;
  /** Takes what is wrong. */
  readonly complaints: string[];
}

interface Part {
  readonly provider: ProviderName;
  readonly groups: readonly Group[];
  readonly outcomes: readonly Outcome[];
}

/** Who gets what of one provider, and whether the Services and the leader say so. */
function judgeProvider(provider: ProviderName, groups: readonly Group[], hearing: Hearing): Part {
  const { world, eligible, complaints } = hearing;
  const pool = world.pools[provider];
  const holders = holdersOf(groups, pool);
  for (const [address, keys] of holders) {
    if (keys.size > 1) complaints.push(`${address} is shown by several load balancers: ${[...keys].join(', ')}.`);
  }
  const placed = groups.flatMap((group) => placeGroup(group, holders, pool, complaints));
  const outcomes = settleSharedPorts(placed, complaints);
  for (const outcome of outcomes) complaints.push(...checkMember(outcome, world, eligible));
  complaints.push(...checkCount(provider, outcomes, world));
  return { provider, groups, outcomes };
}

/** How many there are, by the leader's own word. Whether strays still share one is not always to be seen. */
function checkCount(provider: ProviderName, outcomes: readonly Outcome[], world: World): readonly string[] {
  const served = outcomes.filter(({ addresses }) => addresses.length > 0);
  const keys = new Set(served.map(({ request }) => request.key));
  const settled = new Set(served.filter(({ request }) => !request.isStray).map(({ request }) => request.key));
  const count = world.loadBalancers[provider];
  const strays = served.some(({ request }) => request.isStray);
  const isRight = strays ? count >= Math.max(1, settled.size) && count <= keys.size : count === keys.size;
  if (isRight) return [];
  const names = [...keys].join(', ');
  return [`The leader counts ${count} load balancers of ${provider}; there must be ${keys.size}: ${names}.`];
}

/** Which load balancers show an address of which each has its own. */
function holdersOf(groups: readonly Group[], pool: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const holders = new Map<string, Set<string>>();
  for (const { key, candidates, refused } of groups) {
    for (const { request } of [...candidates, ...refused]) {
      for (const address of shownAddresses(request.service)) {
        if (familyOf(address) === 'IPv6' || !pool.includes(address)) continue;
        holders.set(address, (holders.get(address) ?? new Set()).add(key));
      }
    }
  }
  return holders;
}

type Holders = ReturnType<typeof holdersOf>;

/** Stands for the address that it must have and does not show: there are some, and it does not matter which. */
const ANY = 'an address that is free';

/** What each member gets as far as addresses go. */
function placeGroup(group: Group, holders: Holders, pool: readonly string[], complaints: string[]): readonly Outcome[] {
  const outcomes = group.refused.map(({ request, codes, input }): Outcome => {
    const nothing = { addresses: [], ports: [], kept: false };
    return { ...nothing, request, portErrors: errorsOf(request, []), refusals: codes, isInput: input };
  });
  const [ipv4, ...more] = [...holders].filter(([, keys]) => keys.has(group.key)).map(([address]) => address);
  if (more.length > 0) complaints.push(`${group.key} shows several addresses: ${[ipv4, ...more].join(', ')}.`);
  const isHeldByAnother = (address: string): boolean =>
    [...(holders.get(address) ?? [])].some((key) => key !== group.key);
  const granted = group.addresses.find(
    (wanted) => familyOf(wanted) === 'IPv4' && pool.includes(wanted) && !isHeldByAnother(wanted),
  );
  const shared = pool.find((address) => familyOf(address) === 'IPv6');
  const isFull = pool.every((address) => familyOf(address) === 'IPv6' || isHeldByAnother(address));

  const refusals = new Map(group.candidates.map((each) => [each, refusalOf(each, group, pool, isHeldByAnother)]));
  const keeps = group.candidates.some((each) => refusals.get(each) && heldAddresses(each.request, pool).length > 0);
  // What somebody goes on with who asks nonsense may come before what others ask for.
  const own = (keeps ? undefined : granted) ?? ipv4 ?? (isFull ? undefined : ANY);

  for (const candidate of group.candidates) {
    const { request } = candidate;
    const refusal = refusals.get(candidate);
    const base = { request, ports: candidate.ports, portErrors: errorsOf(request, candidate.lost) };
    if (refusal) {
      const addresses = heldAddresses(request, pool);
      outcomes.push({ ...base, ...refusal, addresses, kept: addresses.length > 0 });
      continue;
    }
    const places = request.families.map(({ family, required }) => ({
      required,
      address: family === 'IPv4' ? own : shared,
    }));
    const lacking = places.filter(({ address }) => address === undefined);
    const lacks = lacking.some(({ required }) => required) || lacking.length === places.length;
    const addresses = lacks ? [] : places.flatMap(({ address }) => address ?? []);
    outcomes.push({ ...base, addresses, refusals: lacks ? ['AddressPoolExhausted'] : [], isInput: false, kept: false });
  }
  return outcomes;
}

function heldAddresses({ service }: Request, pool: readonly string[]): readonly string[] {
  return shownAddresses(service).filter((address) => pool.includes(address));
}

/** Why the candidate cannot have what it asks for; undefined when it can. */
function refusalOf(
  { request, faults }: Candidate,
  group: Group,
  pool: readonly string[],
  isHeldByAnother: (address: string) => boolean,
): Pick<Outcome, 'refusals' | 'isInput'> | undefined {
  if (faults.length > 0) return { refusals: faults, isInput: true };
  for (const wanted of group.addresses.filter((each) => request.addresses.includes(each))) {
    if (!pool.includes(wanted)) return { refusals: ['AddressNotInPool'], isInput: true };
    if (familyOf(wanted) === 'IPv4' && isHeldByAnother(wanted)) return { refusals: ['AddressInUse'], isInput: false };
  }
  return undefined;
}

/** The outcome once these ports are somebody else's. */
function without(outcome: Outcome, keys: readonly string[]): Outcome {
  const ports = outcome.ports.filter(({ key }) => !keys.includes(key));
  const portErrors = new Map([...outcome.portErrors, ...keys.map((key) => [key, 'PortConflict'] as const)]);
  const addresses = ports.length === 0 ? [] : outcome.addresses;
  const rest = { ...outcome, ports, portErrors, addresses };
  if (outcome.kept) return { ...rest, kept: ports.length > 0 };
  const isInput = ports.length === 0 && outcome.request.unsupported.length > 0;
  const refusals = ports.length > 0 ? [] : isInput ? ['UnsupportedProtocol'] : ['PortConflict'];
  return { ...rest, refusals, isInput };
}

function errorsOf({ unsupported }: Request, lost: readonly string[]): ReadonlyMap<string, string> {
  return new Map([
    ...unsupported.map((key) => [key, 'UnsupportedProtocol'] as const),
    ...lost.map((key) => [key, 'PortConflict'] as const),
  ]);
}

/** The IPv6 address is one for all: whoever has a port of it keeps it, and one of those who want it must have it. */
function settleSharedPorts(outcomes: readonly Outcome[], complaints: string[]): readonly Outcome[] {
  const claims = outcomes
    .filter(({ addresses }) => addresses.some((address) => familyOf(address) === 'IPv6'))
    .flatMap((outcome) => outcome.ports.map((port) => ({ outcome, port })));
  const lost = new Map<Outcome, string[]>();
  for (const [key, claimants] of Map.groupBy(claims, ({ port }) => port.key)) {
    const losers = claimants.filter(({ outcome }) => saysLost(outcome.request.service, key));
    if (losers.length < claimants.length - 1) {
      const names = claimants.map(({ outcome }) => outcome.request.name).join(', ');
      complaints.push(`Only one may have ${key} of the shared address, and the others must say so: ${names}.`);
    }
    if (losers.length === claimants.length) {
      const names = claimants.map(({ outcome }) => outcome.request.name).join(', ');
      complaints.push(`Nobody has ${key} of the shared address, though it is free: ${names}.`);
    }
    for (const { outcome } of losers) lost.set(outcome, [...(lost.get(outcome) ?? []), key]);
  }
  return outcomes.map((outcome) => {
    const gone = lost.get(outcome);
    return gone ? without(outcome, gone) : outcome;
  });
}

/** Whether the Service's status says that somebody else has this port of its address. */
function saysLost(service: Service, key: string): boolean {
  const entries = ingressOf(service);
  if (entries.length === 0) {
    // Where no port is left, those that cannot be carried at all are what the conditions speak of.
    const isInput = conditionOf(service, 'Accepted')?.reason === 'UnsupportedProtocol';
    return isInput || (conditionOf(service, 'Programmed')?.message ?? '').includes(key);
  }
  return entries.some(({ ports }) =>
    ports?.some(({ port, protocol, error }) => `${port}/${protocol}` === key && error === 'ballast.dev/PortConflict'),
  );
}

function rememberAll(outcomes: readonly Outcome[]): readonly Remembered[] {
  const served = outcomes.filter(({ addresses }) => addresses.length > 0);
  const isSettled = (key: string): boolean => outcomes.every(({ kept, request }) => !kept || request.key !== key);
  return [...Map.groupBy(served, ({ request }) => request.key)].map(([key, own]) => ({
    provider: own[0]?.request.provider ?? 'proxy',
    key,
    isSettled: isSettled(key),
    members: outcomes.filter(({ request }) => request.key === key).map(({ request }) => request.name),
    addresses: [...new Set(own.flatMap(({ addresses }) => addresses))].toSorted(),
    listeners: own.flatMap(({ addresses, ports }) =>
      addresses.flatMap((address) => ports.map(({ key }) => `${address} ${key}`)),
    ),
  }));
}

/** Whoever asks for the same as before has the same as before, whatever happened to others and to the controllers. */
function checkStability(
  before: readonly Remembered[],
  now: readonly Remembered[],
  groups: readonly Group[],
  touched: ReadonlySet<string>,
): readonly string[] {
  return before
    .filter(({ isSettled }) => isSettled)
    .flatMap((old) => {
      const group = groups.find(({ key, provider }) => key === old.key && provider === old.provider);
      const asking = [...(group?.candidates ?? []), ...(group?.refused ?? [])].map(({ request }) => request.name);
      if ([...old.members, ...asking].some((name) => touched.has(name))) return [];
      const current = now.find(({ key, provider }) => key === old.key && provider === old.provider);
      const lost = [
        ...old.addresses.filter((address) => !current?.addresses.includes(address)),
        ...old.listeners.filter((listener) => !current?.listeners.includes(listener)),
      ];
      return lost.length === 0
        ? []
        : [`${old.key} has lost ${lost.join(', ')}, though nobody has changed anything about it.`];
    });
}
