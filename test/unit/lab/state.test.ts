import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LabDirectory } from '../../lab/directory.ts';
import { type LabState, LabStore, readState, requireState } from '../../lab/state.ts';

const STATE: LabState = {
  name: 'test',
  phase: 'starting',
  owner: { pid: 1, start: 'then' },
  startedAt: '2026-01-01T00:00:00.000Z',
  ipFamily: 'dual',
  proxyMode: 'nftables',
  adminToken: '',
  binaries: { kubelet: '/bin/kubelet' },
  images: [],
  nodes: [],
  machines: [],
  processes: [],
};

describe('the state of a lab', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'labs-'));
    vi.stubEnv('BALLAST_LAB_ROOT', root);
    await mkdir(new LabDirectory('test').path);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(root, { recursive: true });
  });

  it('keeps every one of several changes made at once', async () => {
    const store = new LabStore(STATE);
    const names = ['etcd', 'relay', 'coredns'];
    await Promise.all(names.map((name, index) => store.addProcess({ name, process: { pid: index + 1, start: 's' } })));
    const read = await readState('test');
    expect(read?.processes.map(({ name }) => name)).toEqual(names);
    expect(store.state).toEqual(read);
  });

  it('keeps what another process changed meanwhile', async () => {
    const [ours, theirs] = [new LabStore(STATE), new LabStore(STATE)];
    await ours.addProcess({ name: 'ours', process: { pid: 1, start: 's' } });
    await theirs.addProcess({ name: 'theirs', process: { pid: 2, start: 's' } });
    expect((await readState('test'))?.processes.map(({ name }) => name)).toEqual(['ours', 'theirs']);
  });

  it('goes on after a change that failed', async () => {
    const store = new LabStore(STATE);
    const failing = store.update(() => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await store.update((state) => ({ ...state, phase: 'up' }));
    expect((await readState('test'))?.phase).toBe('up');
  });

  it('is none when the file is missing or not ours', async () => {
    await expect(requireState('test')).rejects.toThrow('npm run lab -- up --name test');
    await writeFile(new LabDirectory('test').state, '{"name":"test"}');
    expect(await readState('test')).toBeUndefined();
  });
});
