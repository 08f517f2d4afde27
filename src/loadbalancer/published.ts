/** What a Service's status says of the ports that are served. */
import type { Service } from '../kube/wire.ts';
import { PROGRAMMED, currentCondition } from './conditions.ts';
import { currentIngress, type Ingress } from './ingress.ts';
import { parseIp } from './ip.ts';
import { protocolOf } from './member.ts';
import { listenerKey, type ListenerRef } from './model.ts';
import type { PublishedListener } from './provider.ts';

/** The ports that the Service has at the addresses it shows. Those that it asks for since then are not among them. */
export function publishedListenersOf(service: Service): readonly PublishedListener[] {
  return currentIngress(service).flatMap((entry) => {
    const address = parseIp(entry.ip ?? '')?.text;
    return address === undefined ? [] : servedPorts(service, entry).map((port) => ({ address, ...port }));
  });
}

/**
 * Where ports are listed, those without an error; elsewhere those that the condition names, which is so only while all
 * is well. Which are served is told in one of these ways or not known, and nobody gets on trust what he may never have had.
 */
function servedPorts(service: Service, { ports: listed = [] }: Ingress): readonly ListenerRef[] {
  const asked = (service.spec?.ports ?? []).flatMap((port): ListenerRef[] => {
    const protocol = protocolOf(port);
    return protocol === undefined ? [] : [{ port: port.port, protocol }];
  });
  if (listed.length > 0) {
    const served = new Set(listed.filter(({ error }) => !error).map(({ port, protocol }) => `${port}/${protocol}`));
    return asked.filter((listener) => served.has(listenerKey(listener)));
  }
  const { status, message = '' } = currentCondition(service, PROGRAMMED) ?? {};
  if (status !== 'True') return [];
  const words = new Set(message.split(/[\s,;]+/));
  return asked.filter((listener) => words.has(listenerKey(listener)));
}
