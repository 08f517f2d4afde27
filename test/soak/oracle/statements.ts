/** What a Service must say of itself: existence, finalizers, addresses, conditions. */
import type { Condition, Service } from '#src/kube/wire';
import { FOREIGN_ADDRESS, FOREIGN_CONDITION, FOREIGN_FINALIZER } from '../site.ts';
import { nodesFor, type EligibleNodes } from './nodes.ts';
import { nameOf, PROVIDERS, type ProviderName } from './request.ts';
import type { Outcome } from './judge.ts';
import type { World } from './world.ts';

const UPSTREAM = 'service.kubernetes.io/load-balancer-cleanup';
const PREFIX = 'ballast.dev/';

/** What each provider says in words of its own. */
const WORDS: Readonly<Record<ProviderName, Readonly<Record<'mode' | 'ready' | 'unready', string>>>> = {
  proxy: { mode: 'Proxy', ready: 'TargetsHealthy', unready: 'NoLocalEndpoints' },
  cloud: { mode: 'VIP', ready: 'HasTargets', unready: 'NoTargets' },
};

type Ingress = NonNullable<NonNullable<NonNullable<Service['status']>['loadBalancer']>['ingress']>[number];

export function ingressOf({ status }: Service): readonly Ingress[] {
  return status?.loadBalancer?.ingress ?? [];
}

export function shownAddresses(service: Service): readonly string[] {
  return ingressOf(service).flatMap(({ ip }) => ip ?? []);
}

/** One of ours: `Accepted`, `Programmed` or `Ready`. */
export function conditionOf({ status }: Service, type: string): Condition | undefined {
  return status?.conditions?.find((condition) => condition.type === `${PREFIX}${type}`);
}

/** Whoever is wanted is there, whoever is not is gone, and what somebody else has put on a Service is still there. */
export function checkPresence({ services, wanted, marks }: World): readonly string[] {
  const alive = services.filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(nameOf);
  return [
    ...[...wanted].filter((name) => !alive.includes(name)).map((name) => `${name} is not there.`),
    ...services.flatMap((service) => {
      const name = nameOf(service);
      const { finalizers = [], deletionTimestamp } = service.metadata;
      const { finalizer, condition } = marks(name);
      const ours = finalizers.filter((each) => each.startsWith(PREFIX) || each === UPSTREAM);
      const hasCondition = service.status?.conditions?.some(({ type }) => type === FOREIGN_CONDITION) ?? false;
      return [
        ...(deletionTimestamp !== undefined && ours.length > 0
          ? [`${name} is deleted, but held by ${ours.join()}.`]
          : []),
        ...(finalizer && !finalizers.includes(FOREIGN_FINALIZER) ? [`${name} has lost a foreign finalizer.`] : []),
        ...(condition && !hasCondition ? [`${name} has lost a foreign condition.`] : []),
      ];
    }),
  ];
}

/** A Service that is none of ours bears nothing of us, and all of what others published. */
export function checkForsaken(service: Service, { marks }: World): readonly string[] {
  const name = nameOf(service);
  const ours = service.metadata.finalizers?.filter((each) => each.startsWith(PREFIX) || each === UPSTREAM) ?? [];
  const conditions = service.status?.conditions?.filter(({ type }) => type.startsWith(PREFIX)) ?? [];
  const shown = shownAddresses(service).join();
  const right = marks(name).ingress ? FOREIGN_ADDRESS : '';
  return [
    ...(ours.length > 0 ? [`${name} is not ours, but has ${ours.join()}.`] : []),
    ...(conditions.length > 0 ? [`${name} is not ours, but has ${conditions.map(({ type }) => type).join()}.`] : []),
    ...(shown === right
      ? []
      : [`${name} is not ours and shows ${shown || 'nothing'}; right is ${right || 'nothing'}.`]),
  ];
}

/** What a member of a load balancer must say. */
export function checkMember(outcome: Outcome, world: World, eligible: EligibleNodes): readonly string[] {
  const { request, addresses } = outcome;
  const { service, name, provider } = request;
  const own = `${PREFIX}${provider}`;
  const wrong: string[] = [];
  const served = addresses.length > 0;
  const { finalizers = [] } = service.metadata;
  const others = PROVIDERS.map((each) => `${PREFIX}${each}`).filter((each) => each !== own);
  const left = others.filter((each) => finalizers.includes(each));
  if (left.length > 0) wrong.push(`still has ${left.join()}`);
  if (served) {
    const needed = service.spec?.loadBalancerClass === undefined ? [own, UPSTREAM] : [own];
    const missing = needed.filter((each) => !finalizers.includes(each));
    if (missing.length > 0) wrong.push(`lacks ${missing.join()}`);
  }
  wrong.push(...checkIngress(outcome), ...checkConditions(outcome, world, eligible));
  const unfilled = served ? outcome.ports.filter(({ nodePort }) => nodePort === 0) : [];
  if (unfilled.length > 0) wrong.push(`has no NodePort for ${unfilled.map(({ key }) => key).join()}`);
  return wrong.map((text) => `${name} ${text}.`);
}

function checkIngress({ request, addresses, portErrors, kept }: Outcome): readonly string[] {
  const { service, provider } = request;
  const { mode } = WORDS[provider];
  const ports =
    (portErrors.size === 0 && !kept) || addresses.length === 0
      ? ''
      : (service.spec?.ports ?? [])
          .map(({ port, protocol }) => {
            const code = portErrors.get(`${port}/${protocol}`);
            return code === undefined ? `${port}/${protocol}` : `${port}/${protocol} ${PREFIX}${code}`;
          })
          .join();
  const right = addresses.map((address) => `${address} ${mode} ${ports}`).join('; ');
  const shown = ingressOf(service)
    .map(({ ip, ipMode, ports: entries = [] }) => {
      const texts = entries.map(({ port, protocol, error }) => `${port}/${protocol}${error ? ` ${error}` : ''}`);
      return `${ip} ${ipMode} ${texts.join()}`;
    })
    .join('; ');
  return shown === right ? [] : [`shows "${shown}"; right is "${right}"`];
}

/** Status and reasons of which one must be given; the words that the message must hold. */
interface Answer {
  readonly status: 'True' | 'False';
  readonly reasons: readonly string[];
  readonly words?: readonly string[];
}

function checkConditions(outcome: Outcome, world: World, eligible: EligibleNodes): readonly string[] {
  const { service } = outcome.request;
  const answers = answersOf(outcome, nodesFor(service, eligible, world.slices).length, eligible.size);
  return Object.entries(answers).flatMap(([type, { status, reasons, words = [] }]) => {
    const condition = conditionOf(service, type);
    const isRight =
      condition?.status === status &&
      reasons.includes(condition.reason) &&
      words.every((word) => condition.message.includes(word));
    if (isRight) return [];
    const shown = condition ? `${condition.status} ${condition.reason} "${condition.message}"` : 'nothing';
    const right = `${status} ${reasons.join(' or ')}${words.length > 0 ? ` with ${words.join(', ')}` : ''}`;
    return [`says ${shown} for ${type}; right is ${right}`];
  });
}

function answersOf(outcome: Outcome, nodes: number, allNodes: number): Readonly<Record<string, Answer>> {
  const { request, addresses, ports, portErrors, refusals, isInput, kept } = outcome;
  const words = WORDS[request.provider];
  const blocked: readonly string[] = allNodes === 0 ? ['NoNodes', 'NotProgrammed'] : ['NotProgrammed'];
  const ready: Answer =
    addresses.length === 0
      ? { status: 'False', reasons: blocked }
      : nodes > 0
        ? { status: 'True', reasons: [words.ready] }
        : { status: 'False', reasons: allNodes === 0 ? ['NoNodes'] : [words.unready] };
  if (isInput) {
    return {
      Accepted: { status: 'False', reasons: refusals },
      Programmed: { status: 'False', reasons: ['NotAccepted'], words: kept ? addresses : [] },
      Ready: kept ? ready : { status: 'False', reasons: ['NotAccepted'] },
    };
  }
  const codes = [...refusals, ...portErrors.values()];
  if (kept) return { Programmed: { status: 'False', reasons: codes }, Ready: ready };
  const accepted: Answer = { status: 'True', reasons: ['Accepted'], words: request.unknown };
  const programmed: Answer =
    codes.length > 0
      ? { status: 'False', reasons: codes }
      : { status: 'True', reasons: ['Programmed'], words: [...ports.map(({ key }) => key), ...addresses] };
  return { Accepted: accepted, Programmed: programmed, Ready: ready };
}
