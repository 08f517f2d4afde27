import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { withBuildLock } from '../../control-plane/build-lock.ts';
import { ownIdentity, type ProcessIdentity } from '../../control-plane/process-identity.ts';
import { temporaryFolder } from './temporary-folder.ts';

function neverWait(holder: ProcessIdentity): void {
  throw new Error(`waited for ${holder.pid}`);
}

describe('withBuildLock', () => {
  it('names this process while the work lasts and is gone after', async () => {
    const path = join(temporaryFolder(), '.lock');
    const during = await withBuildLock(path, { onWait: neverWait }, async () => readFileSync(path, 'utf8'));
    expect(JSON.parse(during)).toEqual(ownIdentity());
    expect(existsSync(path)).toBe(false);
  });

  it('is gone after failed work too', async () => {
    const path = join(temporaryFolder(), '.lock');
    const failing = withBuildLock(path, { onWait: neverWait }, () => Promise.reject(new Error('no luck')));
    await expect(failing).rejects.toThrow('no luck');
    expect(existsSync(path)).toBe(false);
  });

  it('takes over the lock of a process that has died', async () => {
    const path = join(temporaryFolder(), '.lock');
    const { pid } = spawnSync('true');
    writeFileSync(path, JSON.stringify({ pid, start: 'whenever' }));
    expect(await withBuildLock(path, { onWait: neverWait }, async () => 'done')).toBe('done');
  });

  it('takes over when the number of the dead holder belongs to another process now', async () => {
    const path = join(temporaryFolder(), '.lock');
    writeFileSync(path, JSON.stringify({ pid: process.pid, start: 'of an earlier process' }));
    expect(await withBuildLock(path, { onWait: neverWait }, async () => 'done')).toBe('done');
  });

  it('takes over a lock that nobody can read', async () => {
    const path = join(temporaryFolder(), '.lock');
    writeFileSync(path, '');
    expect(await withBuildLock(path, { onWait: neverWait }, async () => 'done')).toBe('done');
  });

  it('lets one at a time work, also when all of them find a stale lock', async () => {
    const folder = temporaryFolder();
    const path = join(folder, '.lock');
    writeFileSync(path, JSON.stringify({ pid: process.pid, start: 'of an earlier process' }));
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, (inside += 1));
      await delay(5);
      inside -= 1;
    };
    const onWait = (): void => undefined;
    await Promise.all([1, 2, 3, 4].map(() => withBuildLock(path, { onWait }, work)));
    expect(most).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('stops waiting when the signal aborts, and leaves the lock to its holder', async () => {
    const path = join(temporaryFolder(), '.lock');
    const abort = new AbortController();
    await withBuildLock(path, { onWait: neverWait }, async () => {
      const waiting = withBuildLock(path, { signal: abort.signal, onWait: () => abort.abort() }, async () => 'done');
      await expect(waiting).rejects.toThrow('abort');
      expect(existsSync(path)).toBe(true);
    });
  });
});
