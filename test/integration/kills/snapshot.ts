import type { Service } from '#src/kube/wire';
import { nodePorts } from '../service/cluster.ts';
import type { Place } from './place.ts';

/**
 * All that must be the same after every run of a case, down to the last word of a condition: Services and the outside,
 * with names for what differs from run to run. Lines of a text, so that a difference is easy to see.
 */
export async function takeSnapshot(place: Place): Promise<readonly string[]> {
  const services = await place.services();
  const names = namesOf(place, services);
  const all = {
    services: [...services.values()].map(essence).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    outside: inOrder((await place.outside.describe()).map((thing) => withNames(thing, names))),
  };
  return JSON.stringify(withNames(all, names), null, 1).split('\n');
}

/** A thing and what is in it with names for values; lists of texts are in order, for they are sets. */
function withNames(thing: unknown, names: Names): unknown {
  if (typeof thing === 'string') return inWords(thing, names);
  if (typeof thing === 'number') return inWords(String(thing), names);
  if (Array.isArray(thing)) {
    const parts = thing.map((part: unknown) => withNames(part, names));
    return parts.every((part) => typeof part === 'string') ? inOrder(parts) : parts;
  }
  if (typeof thing !== 'object' || thing === null) return thing;
  return Object.fromEntries(Object.entries(thing).map(([key, part]) => [key, withNames(part, names)]));
}

function inOrder(things: readonly unknown[]): readonly unknown[] {
  return things.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function inWords(text: string, names: Names): string {
  return names.reduce(
    (all, [value, name]) => all.replaceAll(new RegExp(`(?<![\\w.-])${escape(value)}(?!\\w|[.-]\\w)`, 'g'), name),
    text,
  );
}

function essence({ metadata, spec, status }: Service): Readonly<Record<string, unknown>> & { readonly name: string } {
  return {
    name: metadata.name,
    finalizers: metadata.finalizers,
    type: spec?.type,
    ports: spec?.ports,
    ingress: status?.loadBalancer,
    conditions: status?.conditions?.map(({ type, status: answer, reason, message }) => ({
      type,
      answer,
      reason,
      message,
    })),
  };
}

/** What differs each time, and what it is. */
type Names = readonly (readonly [value: string, name: string])[];

function namesOf(place: Place, services: ReadonlyMap<string, Service>): Names {
  const names = new Map<string, string>([...place.uids].map(([uid, name]) => [uid, `(UID of ${name})`]));
  const add = (value: string, name: string): void => {
    if (!names.has(value)) names.set(value, name);
  };
  add(place.namespace.name, '(namespace)');
  for (const name of [...services.keys()].toSorted()) {
    const service = services.get(name);
    if (!service) continue;
    for (const { ip, hostname } of service.status?.loadBalancer?.ingress ?? []) {
      add(ip ?? hostname ?? '', `(address of ${name})`);
    }
    for (const [index, port] of nodePorts(service).entries()) {
      if (port > 0) add(String(port), `(NodePort ${index + 1} of ${name})`);
    }
  }
  return [...names];
}

function escape(value: string): string {
  return value.replaceAll('.', '\\.');
}
