import { beforeEach, describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import type { Draft } from '#src/kube/client';
import type { Resource } from '#src/kube/resources';
import { TokenAuthorizer } from '#src/kube/tokenauthorizer';
import type { KubeObject } from '#src/kube/wire';
import type { Verdict } from '#src/telemetry/authorization';
import { FakeClock } from '#test/fakes/clock';

/** An API server that knows two tokens: jane may get /metrics, john may not. */
class Reviews {
  readonly seen: { readonly kind: string; readonly spec: object }[] = [];
  failure: Error | undefined;
  gate: Promise<void> = Promise.resolve();

  async create<T extends KubeObject>({ kind }: Resource<T>, draft: Draft<T>): Promise<T> {
    const spec: object = 'spec' in draft && typeof draft.spec === 'object' && draft.spec ? draft.spec : {};
    this.seen.push({ kind, spec });
    await this.gate;
    if (this.failure) throw this.failure;
    return JSON.parse(JSON.stringify({ ...draft, status: this.#statusOf(spec) }));
  }

  #statusOf(spec: { token?: string; user?: string }): object {
    if (spec.user !== undefined) return { allowed: spec.user === 'jane' };
    const user = { jane: 'jane', john: 'john' }[spec.token ?? ''];
    if (user === undefined) return { error: 'unknown token' };
    return { authenticated: true, user: { username: user, uid: 'u', groups: ['g'], extra: { scope: ['s'] } } };
  }

  of(kind: string): readonly object[] {
    return this.seen.filter((review) => review.kind === kind).map(({ spec }) => spec);
  }
}

let api: Reviews;
let clock: FakeClock;
let authorizer: TokenAuthorizer;
beforeEach(() => {
  api = new Reviews();
  clock = new FakeClock();
  authorizer = new TokenAuthorizer({ client: api, clock });
});

const ask = (token: string, path = '/metrics'): Promise<Verdict> =>
  authorizer.authorize(token, path, new AbortController().signal);

describe('a token', () => {
  it('lets in whom the API server knows and allows, with everything it says of the user', async () => {
    expect(await ask('jane')).toEqual({ kind: 'allowed' });
    expect(api.of('TokenReview')).toEqual([{ token: 'jane' }]);
    expect(api.of('SubjectAccessReview')).toEqual([
      {
        user: 'jane',
        uid: 'u',
        groups: ['g'],
        extra: { scope: ['s'] },
        nonResourceAttributes: { path: '/metrics', verb: 'get' },
      },
    ]);
  });

  it('keeps out whom it knows and does not allow, and whom it does not know', async () => {
    expect(await ask('john')).toEqual({ kind: 'forbidden', user: 'john' });
    expect(await ask('nobody')).toEqual({ kind: 'unauthenticated' });
    expect(api.of('SubjectAccessReview')).toHaveLength(1);
  });

  it('is looked at once for ten seconds, whatever came of it, and again after that', async () => {
    for (const token of ['jane', 'jane', 'nobody', 'nobody']) await ask(token);
    expect(api.of('TokenReview')).toHaveLength(2);
    await clock.advance(9_999);
    await ask('jane');
    expect(api.of('TokenReview')).toHaveLength(2);
    await clock.advance(1);
    await ask('jane');
    expect(api.of('TokenReview')).toHaveLength(3);
  });

  it('is looked at for each path: to have one is not to have another', async () => {
    await ask('jane', '/metrics');
    await ask('jane', '/ballast/api/plan');
    expect(api.of('SubjectAccessReview')).toHaveLength(2);
  });

  it('is looked at once for many that ask at the same time', async () => {
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => ask('jane')));
    expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(['allowed']));
    expect(api.of('TokenReview')).toHaveLength(1);
  });

  it('lets nobody in while the API server does not answer, and is asked about again at once', async () => {
    api.failure = new BallastError('ApiUnavailable', 'away: Bearer jane');
    expect(await ask('jane')).toEqual({ kind: 'unavailable', why: 'ApiUnavailable' });
    api.failure = new BallastError('ApiForbidden', 'no');
    expect(await ask('jane')).toMatchObject({ kind: 'unavailable', why: expect.stringContaining('metrics-auth') });
    api.failure = undefined;
    expect(await ask('jane')).toEqual({ kind: 'allowed' });
  });
});

describe('many tokens', () => {
  it('cost no more than a burst of 20 reviews and five a second', async () => {
    const guess = (index: number): Promise<Verdict> => ask(`guess-${index}`);
    const kinds: string[] = [];
    for (let index = 0; index < 50; index++) kinds.push((await guess(index)).kind);
    expect(kinds.filter((kind) => kind === 'unauthenticated')).toHaveLength(20);
    expect(kinds.slice(20)).toEqual(Array<string>(30).fill('busy'));
    await clock.advance(1_000);
    for (let index = 100; index < 110; index++) kinds.push((await guess(index)).kind);
    expect(kinds.slice(50).filter((kind) => kind === 'unauthenticated')).toHaveLength(5);
  });

  it('are not looked at more than eight at once', async () => {
    const open = Promise.withResolvers<void>();
    api.gate = open.promise;
    const asked = Array.from({ length: 12 }, (_, index) => ask(`guess-${index}`));
    const busy = await Promise.all(asked.slice(8));
    expect(busy).toEqual(Array.from({ length: 4 }, () => ({ kind: 'busy', retryAfterSeconds: 1 })));
    open.resolve();
    expect((await Promise.all(asked.slice(0, 8))).map(({ kind }) => kind)).toEqual(
      Array<string>(8).fill('unauthenticated'),
    );
  });

  it('do not push out of the memory who is known', async () => {
    await ask('jane');
    for (let index = 0; index < 30; index++) await ask(`guess-${index}`);
    expect(await ask('jane')).toEqual({ kind: 'allowed' });
  });
});
