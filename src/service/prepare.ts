/** Makes Services fit to be served: our finalizers, and a NodePort for every port, in one patch each. */
import { BallastError } from '../errors.ts';
import type { Service, ServicePort } from '../kube/wire.ts';
import { listenerKey } from '../loadbalancer/model.ts';
import type { Problem } from '../loadbalancer/problem.ts';
import { protocolOf } from '../loadbalancer/member.ts';
import type { Log } from '../telemetry/log.ts';
import { failureOf } from './failure.ts';
import { withFinalizers } from './finalizers.ts';
import { fillNodePorts, portName, usedNodePorts } from './nodeports.ts';
import type { NodePortRange } from './config.ts';
import type { Writes } from './writes.ts';
import type { ServicePatch } from './ports.ts';

/** How often "already allocated" is answered with another choice before the queue's backoff takes over. */
const ATTEMPTS = 5;

export interface PrepareOptions {
  readonly provider: string;
  readonly writes: Writes;
  readonly needsNodePorts: boolean;
  /** The finalizer may come with the first status, because nothing outside outlives this process. */
  readonly finalizerLater: boolean;
  readonly range: NodePortRange;
  /** All Services of the cluster, for the NodePorts that they have. */
  readonly allServices: () => Iterable<Service>;
  readonly random: () => number;
  readonly signal: AbortSignal;
  readonly log: Pick<Log, 'info'>;
  /** Whether a state of the Service still asks for this load balancer. */
  readonly isMember: (service: Service) => boolean;
}

/** What is wrong with one Service after an attempt, and the error that the queue is to act on. */
export interface MemberFailure {
  /** UID of the Service. */
  readonly member: string;
  readonly problem: Problem;
  readonly error: BallastError;
}

export interface Prepared {
  /** The newest state that we know of the Service; undefined when it is gone. */
  readonly service: Service | undefined;
  readonly failures: readonly MemberFailure[];
  readonly written: boolean;
}

/** The ports of a Service that become listeners, as `80/TCP`; only those need a NodePort. */
export type ServedPorts = ReadonlySet<string>;

/** A Service that lacks something, and which of its ports are to be served. */
export interface Unprepared {
  readonly service: Service;
  readonly ports: ServedPorts;
}

/**
 * Those of the Services that something can be said about: not those whose preparation has to wait because the API
 * server asked for patience or somebody else wrote first. What their status says is as right as it was.
 */
export function withoutPostponed(services: readonly Service[], failures: readonly MemberFailure[]): readonly Service[] {
  const postponed = new Set(
    failures.flatMap(({ member, error: { kind } }) => (kind === 'throttled' || kind === 'conflict' ? member : [])),
  );
  return services.filter(({ metadata }) => !postponed.has(metadata.uid));
}

/** Whether there is anything to prepare; for all ports where it is not known which are served. */
export function needsPreparation(service: Service, options: PrepareOptions, served?: ServedPorts): boolean {
  const finalizerMissing = !options.finalizerLater && withFinalizers(service, options.provider) !== undefined;
  return finalizerMissing || needsFilling(service, options, served);
}

/** Prepares one Service. Throws only when the signal has aborted or leadership is lost. */
export async function prepareService(
  service: Service,
  options: PrepareOptions,
  served: ServedPorts,
): Promise<Prepared> {
  const refused = new Set<number>();
  for (let attempt = 1; ; attempt++) {
    const proposal: Proposal = { chosen: [], unfilled: [] };
    try {
      const outcome = await options.writes.send({
        purpose: 'prepare',
        service,
        compute: (current) => preparation(current, { ...options, served, refused }, proposal),
        // A patch of the main resource is needed for the spec only; webhooks on Services need not be asked otherwise.
        ...(needsFilling(service, options, served) ? {} : { subresource: 'status' as const }),
        signal: options.signal,
      });
      if (outcome.kind === 'gone') return { service: undefined, failures: [], written: false };
      const failures = proposal.unfilled.length > 0 ? [exhausted(service, proposal, options)] : [];
      return { service: outcome.object, failures: failures.flat(), written: outcome.kind === 'patched' };
    } catch (error) {
      const failure = failureOf(error, options.signal);
      const { chosen } = proposal;
      if (chosen.length > 0) options.log.info({ error: failure, chosen }, 'the API server refused the NodePorts');
      if (isOutOfRange(failure) && chosen.length > 0) return failed(service, rangesDiffer(failure, options));
      if (!isTaken(failure) || chosen.length === 0) return failed(service, withoutNumbers(failure, proposal));
      if (attempt === ATTEMPTS) return failed(service, conflicting(service));
      for (const number of numbersIn(failure, proposal)) refused.add(number);
    }
  }
}

/** What the last call of `preparation` proposed. */
interface Proposal {
  chosen: readonly number[];
  unfilled: readonly string[];
}

function needsFilling(service: Service, { needsNodePorts }: PrepareOptions, served?: ServedPorts): boolean {
  return needsNodePorts && (service.spec?.ports ?? []).some((port) => !port.nodePort && isServed(port, served));
}

function isServed(port: ServicePort, served: ServedPorts | undefined): boolean {
  const protocol = protocolOf(port);
  return served === undefined || (protocol !== undefined && served.has(listenerKey({ port: port.port, protocol })));
}

interface PreparationOptions extends PrepareOptions {
  readonly served: ServedPorts;
  /** Numbers that the API server did not give. */
  readonly refused: ReadonlySet<number>;
}

function preparation(current: Service, options: PreparationOptions, proposal: Proposal): ServicePatch | undefined {
  if (!options.isMember(current)) return undefined;
  const { range, random, served, refused } = options;
  const filling = needsFilling(current, options, served);
  const finalizers = options.finalizerLater && !filling ? undefined : withFinalizers(current, options.provider);
  const metadata = finalizers && { finalizers };
  if (!filling) return metadata && { metadata };
  const used = new Set([...usedNodePorts(options.allServices()), ...refused]);
  const { ports, chosen, unfilled } = fillNodePorts(current, {
    range,
    used,
    random,
    fills: (port) => isServed(port, served),
  });
  proposal.chosen = chosen;
  proposal.unfilled = unfilled.map(portName);
  const spec = chosen.length > 0 ? { ports } : undefined;
  return metadata || spec ? { ...(metadata && { metadata }), ...(spec && { spec }) } : undefined;
}

/** Whether the API server says that a NodePort belongs to another Service. */
function isTaken({ code, message }: BallastError): boolean {
  return code === 'ApiInvalid' && message.includes('provided port is already allocated');
}

function isOutOfRange({ code, message }: BallastError): boolean {
  return code === 'ApiInvalid' && message.includes('provided port is not in the valid range');
}

/** The same text however often other numbers are tried: each new one would be another write and another event. */
function rangesDiffer({ code, message }: BallastError, { range: { min, max } }: PrepareOptions): BallastError {
  const theirs = /range of valid ports is (\d+-\d+)/.exec(message)?.[1];
  const text =
    `The API server's range of NodePorts${theirs === undefined ? '' : ` (${theirs})`} differs from ` +
    `\`--node-port-range\` (${min}-${max}); set \`--node-port-range\` and the API server's ` +
    '`--service-node-port-range` alike.';
  return new BallastError(code, text, { field: 'spec.ports' });
}

function withoutNumbers(failure: BallastError, { chosen }: Proposal): BallastError {
  const { code, message, field } = failure;
  const text = chosen.reduce((all, number) => all.replaceAll(new RegExp(`\\b${number}\\b`, 'g'), '(chosen)'), message);
  return text === message ? failure : new BallastError(code, text, { cause: failure, ...(field && { field }) });
}

/** The proposed numbers that the API server's message names; all of them when it names none. */
function numbersIn({ message }: BallastError, { chosen }: Proposal): readonly number[] {
  const named = chosen.filter((number) => new RegExp(`\\b${number}\\b`).test(message));
  return named.length > 0 ? named : chosen;
}

function failed(service: Service, error: BallastError): Prepared {
  const { code, message, field } = error;
  const problem: Problem = field === undefined ? { code, message } : { code, message, field };
  return { service, failures: [{ member: service.metadata.uid, problem, error }], written: false };
}

function conflicting({ metadata }: Service): BallastError {
  const message =
    `The API server refused every NodePort proposed for ${metadata.namespace}/${metadata.name} as already ` +
    'allocated; Ballast tries others.';
  return new BallastError('NodePortConflict', message, { field: 'spec.ports' });
}

/** One failure for each port that got no number; the other ports of the Service are served. */
function exhausted(service: Service, { unfilled }: Proposal, { range }: PrepareOptions): readonly MemberFailure[] {
  return (service.spec?.ports ?? []).flatMap((port) => {
    const protocol = protocolOf(port);
    if (protocol === undefined || !unfilled.includes(portName(port))) return [];
    const message =
      `No NodePort of ${range.min}-${range.max} is free for ${portName(port)}; delete Services that hold NodePorts, ` +
      'or widen the range of the API server and of `--node-port-range`.';
    const error = new BallastError('NodePortsExhausted', message, { field: 'spec.ports' });
    const problem = { code: error.code, message, field: 'spec.ports', listener: { port: port.port, protocol } };
    return { member: service.metadata.uid, problem, error };
  });
}
