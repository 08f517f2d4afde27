/** What the proxy must listen on, and where the traffic of each socket must end. */
import type { Outcome } from './judge.ts';
import { nodesFor, type EligibleNodes } from './nodes.ts';
import type { RequestedPort } from './request.ts';
import type { ExpectedSocket, World } from './world.ts';

/** The ports that a member may be served at: of one that goes on as before, those that it has now and always could have. */
export function servedAt({ kept, ports, request }: Outcome): readonly RequestedPort[] {
  return kept ? request.ports.filter(({ nodePort }) => nodePort !== 0) : ports;
}

/** What must be open, apart from those who ask nonsense and go on as before. */
export function expectedSockets(
  outcomes: readonly Outcome[],
  world: World,
  eligible: EligibleNodes,
): readonly ExpectedSocket[] {
  return outcomes.filter(({ kept }) => !kept).flatMap((outcome) => socketsOf(outcome, world, eligible));
}

/**
 * What is open of those who go on as before: which of their ports, only the world knows; but its traffic follows the
 * present NodePorts, nodes, endpoints and source ranges. A port that several may have had is left out.
 */
export function keptSockets(
  outcomes: readonly Outcome[],
  expected: readonly ExpectedSocket[],
  world: World,
  eligible: EligibleNodes,
): readonly ExpectedSocket[] {
  const names = new Set(expected.map(({ socket }) => socket));
  const possible = outcomes.filter(({ kept }) => kept).flatMap((outcome) => socketsOf(outcome, world, eligible));
  return [...Map.groupBy(possible, ({ socket }) => socket)].flatMap(([name, claims]) =>
    claims.length === 1 && world.sockets.includes(name) && !names.has(name) ? claims : [],
  );
}

function socketsOf(outcome: Outcome, world: World, eligible: EligibleNodes): readonly ExpectedSocket[] {
  const { request, addresses } = outcome;
  const { service } = request;
  const nodes = nodesFor(service, eligible, world.slices);
  const ranges = service.spec?.loadBalancerSourceRanges ?? [];
  return addresses.flatMap((address) =>
    servedAt(outcome).map(({ key, port, protocol, nodePort }) => ({
      socket: `${hostOf(address)}:${key}`,
      address,
      port,
      protocol,
      service: request.name,
      nodePort,
      nodes,
      ranges,
    })),
  );
}

function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** Exactly what must be open is open, in the process that leads and nowhere else. */
export function checkSockets(
  expected: readonly ExpectedSocket[],
  outcomes: readonly Outcome[],
  { sockets, followerSockets }: World,
): readonly string[] {
  const names = new Set(expected.map(({ socket }) => socket));
  const kept = outcomes.filter((outcome) => outcome.kept);
  const possible = new Set(
    kept.flatMap((outcome) =>
      outcome.addresses.flatMap((address) => servedAt(outcome).map(({ key }) => `${hostOf(address)}:${key}`)),
    ),
  );
  const isAt = (address: string, socket: string): boolean => socket.startsWith(`${hostOf(address)}:`);
  return [
    ...[...names].filter((name) => !sockets.includes(name)).map((name) => `Nothing listens on ${name}.`),
    ...sockets
      .filter((name) => !names.has(name) && !possible.has(name))
      .map((name) => `${name} is open, though nobody asks for it.`),
    ...kept
      .flatMap(({ addresses }) => addresses)
      .filter((address) => !sockets.some((name) => isAt(address, name)))
      .map((address) => `${address} is shown, though nothing listens there.`),
    ...followerSockets.map((name) => `${name} is open in the process that does not lead.`),
  ];
}
