import { describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import type { CallOptions, ObjectName, PatchOptions } from '#src/kube/client';
import { patchWithRetry, type MergePatch, type Patcher, type PatchOutcome } from '#src/kube/patch';
import { SERVICES } from '#src/kube/resources';
import type { Service } from '#src/kube/wire';
import { service } from '#test/fakes/builders';
import { apiError } from './scripted-api.ts';

const { signal } = new AbortController();

function web(resourceVersion: string, more: { uid?: string; finalizers?: string[] } = {}): Service {
  return service({ metadata: { namespace: 'shop', uid: 'u1', resourceVersion, ...more } });
}

/** Answers each call with the next of what the test gives. */
class ScriptedPatcher implements Patcher<Service> {
  readonly calls: string[] = [];
  readonly patches: MergePatch[] = [];
  readonly #gets: (Service | Error)[];
  readonly #patches: (Service | Error)[];

  constructor(patches: (Service | Error)[], gets: (Service | Error)[] = []) {
    this.#patches = patches;
    this.#gets = gets;
  }

  async get(_: unknown, { namespace, name }: ObjectName, options: CallOptions): Promise<Service> {
    this.calls.push(`get ${namespace}/${name}`);
    options.signal.throwIfAborted();
    return answer(this.#gets);
  }

  async patch(_: unknown, { namespace, name }: ObjectName, patch: MergePatch, options: PatchOptions): Promise<Service> {
    this.calls.push(`patch ${namespace}/${name}${options.subresource ? `/${options.subresource}` : ''}`);
    this.patches.push(patch);
    return answer(this.#patches);
  }
}

function answer(answers: (Service | Error)[]): Service {
  const next = answers.shift();
  if (!next) throw new Error('an unexpected call');
  if (next instanceof Error) throw next;
  return next;
}

const addFinalizer = ({ metadata: { finalizers = [] } }: Service): MergePatch | undefined =>
  finalizers.includes('mine') ? undefined : { metadata: { finalizers: [...finalizers, 'mine'] }, status: {} };

function patch(client: Patcher<Service>, known: Service = web('1')): Promise<PatchOutcome<Service>> {
  return patchWithRetry({ client, resource: SERVICES, known, compute: addFinalizer, subresource: 'status', signal });
}

const conflict = (): Error => apiError(409, 'Conflict');

describe('patchWithRetry', () => {
  it('patches the known state without reading it first, and for that state alone', async () => {
    const client = new ScriptedPatcher([web('2')]);
    expect(await patch(client)).toEqual({ kind: 'patched', object: web('2') });
    expect(client.calls).toEqual(['patch shop/web/status']);
    expect(client.patches).toEqual([
      { metadata: { finalizers: ['mine'], uid: 'u1', resourceVersion: '1' }, status: {} },
    ]);
  });

  it('sends nothing when nothing is to be changed', async () => {
    const known = web('1', { finalizers: ['mine'] });
    expect(await patch(new ScriptedPatcher([]), known)).toEqual({ kind: 'unchanged', object: known });
  });

  it('reads and computes again after a conflict, so that nothing of the other writer is undone', async () => {
    const client = new ScriptedPatcher([conflict(), web('3')], [web('2', { finalizers: ['theirs'] })]);
    expect(await patch(client)).toMatchObject({ kind: 'patched' });
    expect(client.patches[1]).toMatchObject({ metadata: { finalizers: ['theirs', 'mine'], resourceVersion: '2' } });
  });

  it('is content when the other writer did the same', async () => {
    const theirs = web('2', { finalizers: ['mine'] });
    expect(await patch(new ScriptedPatcher([conflict()], [theirs]))).toEqual({ kind: 'unchanged', object: theirs });
  });

  it('gives up after a few lost races', async () => {
    const client = new ScriptedPatcher(
      Array.from({ length: 9 }, conflict),
      ['2', '3', '4', '5'].map((v) => web(v)),
    );
    await expect(patch(client)).rejects.toMatchObject({ code: 'ApiConflict' });
    expect(client.patches).toHaveLength(5);
  });

  it('never touches an object that was made anew under the same name', async () => {
    const client = new ScriptedPatcher([conflict()], [web('9', { uid: 'u2' })]);
    expect(await patch(client)).toEqual({ kind: 'gone' });
    expect(client.patches).toHaveLength(1);
  });

  it.each([
    ['when it patches', (): ScriptedPatcher => new ScriptedPatcher([apiError(404, 'NotFound')])],
    ['when it reads', (): ScriptedPatcher => new ScriptedPatcher([conflict()], [apiError(404, 'NotFound')])],
  ])('says that the object is gone %s', async (_, client) => {
    expect(await patch(client())).toEqual({ kind: 'gone' });
  });

  it.each([
    apiError(422, 'Invalid'),
    apiError(403, 'Forbidden'),
    apiError(409, 'AlreadyExists'),
    new BallastError('ApiUnavailable', 'connection reset'),
  ])('leaves $message to the caller at once', async (error) => {
    const client = new ScriptedPatcher([error]);
    await expect(patch(client)).rejects.toBe(error);
    expect(client.calls).toHaveLength(1);
  });

  it('ends with the signal between two tries', async () => {
    const stop = new AbortController();
    const reason = new Error('shutting down');
    const client = new ScriptedPatcher([conflict()], []);
    const compute = (object: Service): MergePatch | undefined => {
      setImmediate(() => stop.abort(reason));
      return addFinalizer(object);
    };
    const request = { client, resource: SERVICES, known: web('1'), compute, signal: stop.signal };
    await expect(patchWithRetry(request)).rejects.toBe(reason);
    expect(client.calls).toEqual(['patch shop/web']);
  });
});
