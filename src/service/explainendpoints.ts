/** Whether anything answers behind a Service: the load balancer's targets are nodes, and they say nothing of pods. */
import type { EndpointSlice, Service, ServicePort } from '../kube/wire.ts';
import { SERVICE_NAME_LABEL, usableEndpoints, type UsableEndpoints } from '../loadbalancer/endpoints.ts';
import { portName } from './nodeports.ts';
import { listed, no, yes, type Decision } from './verdict.ts';

const SUBJECT = 'endpoints';

/** `slices` are those of the Service. */
export function explainEndpoints(service: Service, slices: readonly EndpointSlice[]): Decision {
  const found = usableEndpoints(service, slices);
  if (found.count === 0) return no(SUBJECT, `${nothingReady(service, found)}; ${whereToLook(service)}`);
  const missing = (service.spec?.ports ?? []).filter((port) => !hasPort(found, port));
  if (missing.length > 0) return no(SUBJECT, `${portsMissing(service, missing)}; ${whereToLook(service)}`);
  const state = found.terminating ? 'ending, but still serving' : 'ready';
  const where = found.nodes.length > 0 ? `, on ${listed(found.nodes)}` : '';
  const numbers = [...new Set(found.ports.map(({ number }) => String(number)))];
  const what = `their port${numbers.length === 1 ? '' : 's'} ${listed(numbers)}`;
  return yes(SUBJECT, `${found.count} ${state}${where}; traffic goes to ${what}.`);
}

function nothingReady(service: Service, { total }: UsableEndpoints): string {
  const selector = selectorOf(service);
  if (selector === undefined) return 'No ready endpoint: no EndpointSlice of this Service has a ready endpoint';
  const others = total > 0 ? ` (${total} that ${total === 1 ? 'is' : 'are'} not)` : '';
  return `No ready endpoint: the selector ${selector} matches no ready pod${others}`;
}

function portsMissing(service: Service, ports: readonly ServicePort[]): string {
  const names = listed(ports.map(portName));
  if (selectorOf(service) === undefined) {
    return `No ready endpoint for ${names}: no EndpointSlice has it under the name that it has in the Service`;
  }
  const targets = listed(ports.map(({ targetPort, port }) => String(targetPort ?? port)));
  return `No ready endpoint for ${names}: no ready pod has a container port called ${targets}, as targetPort asks`;
}

function whereToLook({ metadata: { name, namespace } }: Service): string {
  return `see \`kubectl get endpointslices -n ${namespace} -l ${SERVICE_NAME_LABEL}=${name}\`.`;
}

/** As `kubectl get pods -l` takes it; undefined for a Service whose EndpointSlices others write. */
function selectorOf({ spec }: Service): string | undefined {
  const labels = Object.entries(spec?.selector ?? {}).map(([key, value]) => `${key}=${value}`);
  return labels.length === 0 ? undefined : labels.sort().join(',');
}

/** Ports of the Service and of its slices belong together by name and protocol (`discovery/v1`). */
function hasPort({ ports }: UsableEndpoints, port: ServicePort): boolean {
  return ports.some(({ name, protocol }) => name === (port.name ?? '') && protocol === (port.protocol ?? 'TCP'));
}
