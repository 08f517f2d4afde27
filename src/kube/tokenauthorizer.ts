import { createHash } from 'node:crypto';
import { classify } from '../errors.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { Authorize, Verdict } from '../telemetry/authorization.ts';
import type { KubeClient } from './client.ts';
import { SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, apiVersionOf } from './resources.ts';
import { TokenBucket } from './tokenbucket.ts';
import type { SubjectAccessReview, TokenReview } from './wire.ts';

export interface TokenAuthorizerOptions {
  readonly client: Pick<KubeClient, 'create'>;
  readonly clock?: Clock;
}

/** As long as `k8s.io/apiserver`'s delegating authentication and authorization remember an answer. */
const REMEMBERED_MS = 10_000;
/** Answers remembered at most; beyond, the oldest is forgotten. */
const MOST_REMEMBERED = 1_000;
/** How fast tokens that nobody has seen may cost the API server reviews: whoever reaches us must not flood it. */
const REVIEWS = { burst: 20, refillMs: 200 } as const;
const MOST_REVIEWS_AT_ONCE = 8;
const REVIEW_TIMEOUT_MS = 5_000;
const BUSY: Verdict = { kind: 'busy', retryAfterSeconds: 1 };

interface Remembered {
  readonly verdict: Verdict;
  readonly until: number;
}

/**
 * Asks the API server whose a token is (TokenReview) and whether that user may `get` the path as a non-resource URL
 * (SubjectAccessReview), as Kubernetes' own components protect their metrics. Answers are remembered for a few seconds,
 * under a hash of the token; that it could not be asked is not, and lets nobody in.
 */
export class TokenAuthorizer {
  readonly #client: TokenAuthorizerOptions['client'];
  readonly #clock: Clock;
  readonly #remembered = new Map<string, Remembered>();
  readonly #asked = new Map<string, Promise<Verdict>>();
  readonly #bucket = new TokenBucket(REVIEWS);

  constructor({ client, clock = systemClock }: TokenAuthorizerOptions) {
    this.#client = client;
    this.#clock = clock;
  }

  readonly authorize: Authorize = async (token, path) => {
    const key = createHash('sha256').update(`${path}\n${token}`).digest('base64');
    const known = this.#remembered.get(key);
    if (known && this.#clock.now() < known.until) return known.verdict;
    const asked = this.#asked.get(key);
    if (asked) return asked;
    if (this.#asked.size >= MOST_REVIEWS_AT_ONCE || !this.#bucket.take(this.#clock.now())) return BUSY;
    // Not the asker's signal: others may wait for the same answer.
    const asking = this.#ask(key, token, path).finally(() => this.#asked.delete(key));
    this.#asked.set(key, asking);
    return asking;
  };

  async #ask(key: string, token: string, path: string): Promise<Verdict> {
    try {
      const verdict = await this.#review(token, path);
      this.#remembered.delete(key);
      this.#remembered.set(key, { verdict, until: this.#clock.now() + REMEMBERED_MS });
      const [oldest] = this.#remembered.keys();
      if (this.#remembered.size > MOST_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
      return verdict;
    } catch (error) {
      const { code } = classify(error);
      const why = code === 'ApiForbidden' ? 'the controller may not review tokens (see manifests/metrics-auth)' : code;
      return { kind: 'unavailable', why };
    }
  }

  async #review(token: string, path: string): Promise<Verdict> {
    const options = { signal: AbortSignal.timeout(REVIEW_TIMEOUT_MS) };
    const { status = {} } = await this.#client.create<TokenReview>(
      TOKEN_REVIEWS,
      { apiVersion: apiVersionOf(TOKEN_REVIEWS), kind: TOKEN_REVIEWS.kind, metadata: {}, spec: { token } },
      options,
    );
    const { username: user } = status.user ?? {};
    if (status.authenticated !== true || !user) return { kind: 'unauthenticated' };
    const { uid, groups, extra } = status.user ?? {};
    const { status: answer } = await this.#client.create<SubjectAccessReview>(
      SUBJECT_ACCESS_REVIEWS,
      {
        apiVersion: apiVersionOf(SUBJECT_ACCESS_REVIEWS),
        kind: SUBJECT_ACCESS_REVIEWS.kind,
        metadata: {},
        spec: {
          user,
          ...(uid && { uid }),
          ...(groups && { groups }),
          ...(extra && { extra }),
          nonResourceAttributes: { path, verb: 'get' },
        },
      },
      options,
    );
    return answer?.allowed === true && answer.denied !== true ? { kind: 'allowed' } : { kind: 'forbidden', user };
  }
}
