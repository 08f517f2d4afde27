import type { z } from 'zod';
import { BallastError } from '../../errors.ts';
import { askController, controllerUrl } from './ask.ts';
import type { InquiryFlags } from './flags.ts';
import type { Fresh, Target } from './target.ts';

/** An answer, and who gave it. */
export interface Answered<T> {
  readonly answer: T;
  readonly source: 'controller' | 'fresh';
  /** For a person: who answered, and why. */
  readonly note: string;
}

export interface Question<T> {
  /** How the person wants the controller to be asked; where a URL is given, nobody else will do. */
  readonly flags: Pick<InquiryFlags, 'controller' | 'controllerCaFile' | 'controllerTokenFile'>;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly schema: z.ZodType<T>;
  /** The answer of a controller that has just started. */
  readonly compute: (fresh: Fresh) => Promise<T>;
}

const OTHER_CLUSTER = 'it serves another cluster than the kubeconfig';
const UNCOMPARED = ' (whether it serves the cluster of the kubeconfig could not be told)';

/**
 * Asks the running controller, which alone knows its own sockets; where none answers for this cluster, computes.
 * @throws BallastError `ControllerUnreachable` when the controller at the given URL does not answer; `InvalidConfig`
 * when it serves another cluster.
 */
export async function answer<T extends { readonly cluster?: string | undefined }>(
  target: Target,
  { flags, path, query, schema, compute }: Question<T>,
): Promise<Answered<T>> {
  const { controller, controllerCaFile: caFile, controllerTokenFile: tokenFile } = flags;
  const { metricsAddress, metricsTls } = target.loaded.config;
  const base = controller ?? controllerUrl(metricsAddress, metricsTls !== undefined);
  let why = 'There is no address to ask a controller at.';
  if (base !== undefined) {
    const url = URL.parse(`${path}?${query.toString()}`, base);
    if (!url || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
      const message = '--controller must be an http:// or https:// URL without user and password.';
      throw new BallastError('InvalidConfig', message, { field: 'controller' });
    }
    const asked = await askController(url.href, schema, { signal: target.signal, caFile, tokenFile });
    const same = asked.kind === 'answer' ? await isSameCluster(asked.answer, target) : undefined;
    if (asked.kind === 'answer' && same !== false) {
      const doubt = same === undefined ? UNCOMPARED : '';
      return { answer: asked.answer, source: 'controller', note: `As the controller at ${base} says${doubt}:` };
    }
    const problem = asked.kind === 'none' ? asked.why : OTHER_CLUSTER;
    why = sentence(`Asked the controller at ${base}, but ${problem}`);
    if (controller !== undefined) {
      throw new BallastError(asked.kind === 'none' ? 'ControllerUnreachable' : 'InvalidConfig', why);
    }
  }
  const computed = await compute(await target.fresh());
  return { answer: computed, source: 'fresh', note: `${why}\nAs a controller would see it that starts now:` };
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}

/** Undefined when one of the two does not say which cluster it is, also because the API server is away. */
async function isSameCluster(answered: { readonly cluster?: string | undefined }, target: Target) {
  if (answered.cluster === undefined) return undefined;
  const own = await target.cluster();
  return own === undefined ? undefined : own === answered.cluster;
}
