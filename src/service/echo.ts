import { isDeepStrictEqual } from 'node:util';
import type { StoreEvent } from '../kube/store.ts';
import type { Service } from '../kube/wire.ts';
import { PREFIX } from '../loadbalancer/annotations.ts';
import { currentConditions } from '../loadbalancer/conditions.ts';
import { currentIngress } from '../loadbalancer/ingress.ts';
import type { ServicePatch } from './ports.ts';

/** As many writes as one reconcile makes to one Service, and a retry. */
const REMEMBERED = 4;

/**
 * Recognises our own writes when the watch brings them back, so that they cause no work. Whatever else changes a
 * Service does, also a change of what we wrote.
 */
export class Echo {
  /** By UID: what we left the Service in, oldest first. */
  readonly #written = new Map<string, readonly string[]>();

  /** A patch is about to be sent, computed from this state. */
  expect(service: Service, patch: ServicePatch): void {
    const { uid } = service.metadata;
    const next = [...(this.#written.get(uid) ?? []), fingerprint(patched(service, patch))];
    this.#remember(uid, next.slice(-REMEMBERED));
  }

  /**
   * Nothing is written because this state is right. If it is older than what we wrote last, that is to be looked at
   * once it comes, so it must not pass for an echo then.
   */
  confirm(service: Service): void {
    const { uid } = service.metadata;
    const last = this.#written.get(uid)?.at(-1);
    if (last !== undefined && last !== fingerprint(service)) this.#written.delete(uid);
  }

  /** The Service is gone, so nothing that was written to it will come back. */
  forget({ metadata }: Service): void {
    this.#written.delete(metadata.uid);
  }

  /** Whether the event brings nothing but what we wrote ourselves, and what we take no notice of. */
  isOwn(event: StoreEvent<Service>): boolean {
    const { uid } = event.object.metadata;
    if (event.type === 'updated' && sameRequest(event.previous, event.object)) {
      const written = this.#written.get(uid) ?? [];
      const seen = fingerprint(event.object);
      const index = written.indexOf(seen);
      // This write and the older ones have come: should the Service return to such a state, somebody else has done it.
      if (index !== -1) return this.#remember(uid, written.slice(index + 1));
      if (seen === fingerprint(event.previous)) return true;
    }
    // Somebody else has written: what we wrote before says nothing of who brings the Service back to it.
    this.#written.delete(uid);
    return false;
  }

  #remember(uid: string, written: readonly string[]): true {
    if (written.length === 0) this.#written.delete(uid);
    else this.#written.set(uid, written);
    return true;
  }
}

function patched(service: Service, { metadata, spec, status }: ServicePatch): Service {
  return {
    ...service,
    metadata: metadata ? { ...service.metadata, finalizers: metadata.finalizers ?? [] } : service.metadata,
    ...(spec ? { spec: { ...service.spec, ...spec } } : {}),
    ...(status
      ? {
          status: { loadBalancer: { ingress: status.loadBalancer.ingress ?? [] }, conditions: status.conditions ?? [] },
        }
      : {}),
  };
}

/** Everything of a Service that we ever write. */
function fingerprint(service: Service): string {
  return JSON.stringify([
    (service.metadata.finalizers ?? []).toSorted(),
    (service.spec?.ports ?? []).map(({ nodePort }) => nodePort ?? 0),
    currentIngress(service).map(({ ip, hostname, ipMode, ports = [] }) => [
      ip,
      hostname,
      ipMode,
      ports.map(({ port, protocol, error }) => [port, protocol, error]),
    ]),
    currentConditions(service)
      .filter(({ type }) => type.startsWith(PREFIX))
      .map(({ type, status, reason, message }) => [type, status, reason, message]),
  ]);
}

/** Whether the user asks for the same, NodePorts aside. */
function sameRequest(before: Service, after: Service): boolean {
  return isDeepStrictEqual(request(before), request(after));
}

function request({ metadata, spec }: Service): unknown {
  const ports = spec?.ports?.map((port) => ({ ...port, nodePort: 0 }));
  return [metadata.uid, metadata.deletionTimestamp, metadata.annotations, { ...spec, ports }];
}
