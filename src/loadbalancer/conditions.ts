/** The conditions of a Service as answers to three questions, and how they are merged into what is there. */
import type { ErrorCode } from '../errors.ts';
import type { Condition, Service } from '../kube/wire.ts';
import { listenerKey, type Member } from './model.ts';
import type { Problem } from './problem.ts';
import type { Address, Readiness } from './provider.ts';

/** The request makes sense and is ours. */
export const ACCEPTED = 'ballast.dev/Accepted';
/** The load balancer exists as asked. */
export const PROGRAMMED = 'ballast.dev/Programmed';
/** Traffic can arrive. */
export const READY = 'ballast.dev/Ready';

const OURS: readonly string[] = [ACCEPTED, PROGRAMMED, READY];

/** A condition without what the API server's object adds to it. */
export interface Answer {
  readonly type: string;
  readonly status: 'True' | 'False';
  /** CamelCase. */
  readonly reason: string;
  /** For a person: what is, and what to do. Stable while the answer is. */
  readonly message: string;
}

/** What the input is to blame for; everything else is a matter of what is free or what works. */
const INPUT_CODES: ReadonlySet<ErrorCode> = new Set([
  'InvalidAnnotation',
  'InvalidSourceRange',
  'UnsupportedProtocol',
  'TooManyListeners',
  'GroupNotAllowed',
  'AddressNotAllowed',
  'PortNotAllowed',
  'AddressNotInPool',
]);

/** More than this many of anything is counted in a message, not listed. */
export const LISTED = 10;

/** Characters of a condition's message; an event's may have 1,024 and says a little more. */
const LONGEST = 960;
/** Characters for what is wrong, so that there is room to say what is served all the same. */
const LONGEST_PROBLEMS = 800;

export interface AnswerInput {
  readonly provider: string;
  /** Undefined when nothing of the Service is to be served, or goes on being served. */
  readonly member: Member | undefined;
  /** What it serves it goes on serving until the refusals are gone. */
  readonly kept: boolean;
  /** What is refused, by the input's checks or by the provider. */
  readonly refusals: readonly Problem[];
  /** What was tried and failed. */
  readonly failures: readonly Problem[];
  readonly warnings: readonly string[];
  readonly addresses: readonly Address[];
  /** The addresses that the status shows once these answers are in it. */
  readonly published: readonly string[];
  readonly readiness: Readiness | undefined;
  readonly noNodes: boolean;
}

/** The three answers, in the order in which they depend on each other. */
export function answersOf(input: AnswerInput): readonly Answer[] {
  const accepted = accept(input);
  const programmed = accepted.status === 'True' ? program(input) : notAccepted(input);
  return [accepted, programmed, ready(input, accepted)].map((answer) => ({ ...answer, message: cut(answer.message) }));
}

/**
 * The text of a condition, cut short; it also becomes an event, whose message the API server limits to 1,024. Never
 * ends in half a character, which the API server would give back as another one, for us to write again and again.
 */
export function cut(text: string, longest: number = LONGEST): string {
  return text.length > longest ? `${text.slice(0, longest - 1).replace(/[\ud800-\udbff]$/, '')}…` : text;
}

function accept({ provider, member, refusals, failures, warnings }: AnswerInput): Answer {
  const nothingLeft = member === undefined || member.listeners.every((listener) => isRefused(listener, refusals));
  const blamed = refusals.filter(({ code }) => INPUT_CODES.has(code));
  const refused = blamed.filter(({ listener }) => listener === undefined);
  const reasons = refused.length > 0 ? refused : nothingLeft ? blamed : [];
  const [first] = reasons;
  if (first) return { type: ACCEPTED, status: 'False', reason: first.code, message: sentences(reasons) };
  if (member === undefined && refusals.length + failures.length === 0) {
    return { type: ACCEPTED, status: 'False', reason: 'NoPorts', message: 'The Service has no port; add one.' };
  }
  const message = [`The provider ${provider} takes this Service.`, ...warnings].join(' ');
  return { type: ACCEPTED, status: 'True', reason: 'Accepted', message };
}

function isRefused(listener: Member['listeners'][number], refusals: readonly Problem[]): boolean {
  return refusals.some((refusal) => refusal.listener && listenerKey(refusal.listener) === listenerKey(listener));
}

/** An address in the status is named in a condition, too: by that it is known as ours when the Service leaves us. */
function notAccepted({ kept, published, refusals }: AnswerInput): Answer {
  const at = published.length > 0 ? ` It serves at ${listed(published)}.` : '';
  // All but the address can be had.
  const isAddress = refusals.some(({ code }) => code === 'AddressNotInPool');
  const stays = isAddress ? 'keeps its address' : 'keeps its group, address and settings';
  const message = kept
    ? `The request is not accepted (see ballast.dev/Accepted); until it is, the load balancer ${stays}.${at}`
    : 'The request is not accepted; see ballast.dev/Accepted.';
  return { type: PROGRAMMED, status: 'False', reason: 'NotAccepted', message };
}

function program({ member, refusals, failures, addresses, published }: AnswerInput): Answer {
  const problems = [...refusals, ...failures];
  const [first] = problems;
  if (first) {
    // Errors of single ports mark the entries themselves.
    const marked = problems.some(({ listener }) => listener !== undefined);
    const at = published.length > 0 && !marked ? ` It serves at ${listed(published)}.` : '';
    return { type: PROGRAMMED, status: 'False', reason: first.code, message: `${sentences(problems)}${at}` };
  }
  if (addresses.length === 0) {
    const message = 'The load balancer is being made; it has no address yet.';
    return { type: PROGRAMMED, status: 'False', reason: 'Pending', message };
  }
  const ports = listed((member?.listeners ?? []).map(listenerKey));
  const at = listed(addresses.map((address) => (address.kind === 'ip' ? address.ip : address.hostname)));
  return { type: PROGRAMMED, status: 'True', reason: 'Programmed', message: `Serves ${ports} at ${at}.` };
}

function ready({ kept, noNodes, addresses, readiness }: AnswerInput, accepted: Answer): Answer {
  if (accepted.status === 'False' && !kept) {
    return { type: READY, status: 'False', reason: 'NotAccepted', message: 'See ballast.dev/Accepted.' };
  }
  if (noNodes) {
    const message =
      'No node may receive traffic: none has an InternalIP without being excluded; see `ballast explain`.';
    return { type: READY, status: 'False', reason: 'NoNodes', message };
  }
  if (addresses.length === 0 || readiness === undefined) {
    return { type: READY, status: 'False', reason: 'NotProgrammed', message: 'See ballast.dev/Programmed.' };
  }
  const { reason, message } = readiness;
  return { type: READY, status: readiness.ready ? 'True' : 'False', reason, message };
}

function sentences(problems: readonly Problem[]): string {
  return cut(listed([...new Set(problems.map(sentence))], ' '), LONGEST_PROBLEMS);
}

/** The message, with the field in front where it does not name it. */
function sentence({ message, field }: Problem): string {
  const name = /^metadata\.annotations\[(.+)\]$/.exec(field ?? '')?.[1] ?? field;
  return name === undefined || message.includes(name) ? message : `${field}: ${message}`;
}

function listed(parts: readonly string[], separator = ', '): string {
  const rest = parts.length - LISTED;
  return [...parts.slice(0, LISTED), ...(rest > 0 ? [`and ${rest} more`] : [])].join(separator);
}

/**
 * The Service's conditions with these answers in them: others untouched and in place, these with the time of the last
 * change of status (`meta/v1` Condition).
 */
export function mergeConditions(service: Service, answers: readonly Answer[], now: string): readonly Condition[] {
  const present = currentConditions(service);
  const { generation } = service.metadata;
  const fresh = new Map(
    answers.map((answer): [string, Condition] => {
      const old = present.find(({ type }) => type === answer.type);
      const lastTransitionTime = old?.status === answer.status ? old.lastTransitionTime : now;
      const observed = generation === undefined ? {} : { observedGeneration: generation };
      return [answer.type, { ...answer, ...observed, lastTransitionTime }];
    }),
  );
  const kept = present.map((condition) => {
    const replacement = fresh.get(condition.type);
    fresh.delete(condition.type);
    return replacement ?? condition;
  });
  return [...kept, ...fresh.values()];
}

/** The Service's conditions without ours. */
export function foreignConditions(service: Service): readonly Condition[] {
  return currentConditions(service).filter(({ type }) => !OURS.includes(type));
}

/** The conditions that the Service's status shows now. */
export function currentConditions(service: Service): readonly Condition[] {
  return service.status?.conditions ?? [];
}

/** One of our conditions as the Service's status shows it. */
export function currentCondition(service: Service, type: string): Condition | undefined {
  return currentConditions(service).find((condition) => condition.type === type);
}

/** Whether two lists say the same; the times of change follow from the rest. */
export function sameConditions(a: readonly Condition[], b: readonly Condition[]): boolean {
  const text = (conditions: readonly Condition[]): string =>
    JSON.stringify(
      conditions.map(({ type, status, reason, message, observedGeneration }) => [
        type,
        status,
        reason,
        message,
        observedGeneration,
      ]),
    );
  return text(a) === text(b);
}
