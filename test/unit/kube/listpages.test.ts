import { describe, expect, it } from 'vitest';
import { listPages } from '#src/kube/listpages';
import { NODES } from '#src/kube/resources';
import type { Node } from '#src/kube/wire';
import { node } from '#test/fakes/builders';
import { apiError, page, ScriptedApi } from './scripted-api.ts';

const { signal } = new AbortController();
const [a, b, c] = ['a', 'b', 'c'].map((name) => node({ metadata: { name } }));
if (!a || !b || !c) throw new Error('three nodes');

function list(api: ScriptedApi<Node>): ReturnType<typeof listPages<Node>> {
  const { client } = api;
  return listPages({ client, resource: NODES, trim: (each) => each, pageSize: 2, signal, labelSelector: 'x' });
}

function asked(api: ScriptedApi<Node>): [number | undefined, string | undefined][] {
  return api.lists.map((options) => [options.limit, options.continue]);
}

describe('listPages', () => {
  it('puts the pages together, from the version they share', async () => {
    const api = new ScriptedApi(page([a, b], '7', 'next'), page([c], '7'));
    expect(await list(api)).toEqual({ objects: [a, b, c], resourceVersion: '7' });
    expect(asked(api)).toEqual([
      [2, undefined],
      [2, 'next'],
    ]);
    expect(api.lists.map(({ labelSelector }) => labelSelector)).toEqual(['x', 'x']);
  });

  it('asks for everything at once when the version expires between two pages', async () => {
    const api = new ScriptedApi(page([a, b], '7', 'next'), apiError(410, 'Expired'), page([a, b, c], '9'));
    expect(await list(api)).toEqual({ objects: [a, b, c], resourceVersion: '9' });
    expect(asked(api)).toEqual([
      [2, undefined],
      [2, 'next'],
      [undefined, undefined],
    ]);
  });

  it('fails when even that expires, and at once for other errors', async () => {
    await expect(list(new ScriptedApi<Node>(apiError(410, 'Expired')))).rejects.toMatchObject({ httpStatus: 410 });
    const api = new ScriptedApi<Node>(page([a], '7', 'next'), apiError(500, 'InternalError'));
    await expect(list(api)).rejects.toMatchObject({ httpStatus: 500 });
    expect(api.lists).toHaveLength(2);
  });

  it('takes a list without items', async () => {
    const empty = new ScriptedApi<Node>({ items: null, metadata: { resourceVersion: '3' } });
    expect(await list(empty)).toEqual({ objects: [], resourceVersion: '3' });
  });

  it('trims each object before it keeps it', async () => {
    const { client } = new ScriptedApi(page([a, b]));
    const trim = ({ metadata }: Node): Node => ({ metadata });
    const { objects } = await listPages({ client, resource: NODES, trim, pageSize: 2, signal });
    expect(objects).toEqual([{ metadata: a.metadata }, { metadata: b.metadata }]);
  });
});
