/** What the proxy must listen on, and where the traffic of each socket must end. */
import type { Outcome } from './judge.ts';
import { nodesFor, type EligibleNodes } from './nodes.ts';
import type { ExpectedSocket, World } from './world.ts';

/** What must be open. */
export function expectedSockets(
  outcomes: readonly Outcome[],
  world: World,
  eligible: EligibleNodes,
): readonly ExpectedSocket[] {
  return outcomes.flatMap((outcome) => socketsOf(outcome, world, eligible));
}

function socketsOf(outcome: Outcome, world: World, eligible: EligibleNodes): readonly ExpectedSocket[] {
  const { request, addresses, ports } = outcome;
  const { service } = request;
  const nodes = nodesFor(service, eligible, world.slices);
  const ranges = service.spec?.loadBalancerSourceRanges ?? [];
  return addresses.flatMap((address) =>
    ports.map(({ key, port, protocol, nodePort }) => ({
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
  { sockets, followerSockets }: World,
): readonly string[] {
  const names = new Set(expected.map(({ socket }) => socket));
  return [
    ...[...names].filter((name) => !sockets.includes(name)).map((name) => `Nothing listens on ${name}.`),
    ...sockets.filter((name) => !names.has(name)).map((name) => `${name} is open, though nobody asks for it.`),
    ...followerSockets.map((name) => `${name} is open in the process that does not lead.`),
  ];
}
