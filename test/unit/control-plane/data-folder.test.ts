import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createDataFolder, recordProcesses, removeStaleFolders } from '../../control-plane/data-folder.ts';
import { identifyProcess, isRunning, ownIdentity, type ProcessIdentity } from '../../control-plane/process-identity.ts';
import { temporaryFolder } from './temporary-folder.ts';

const DEAD_OWNER = { pid: process.pid, start: 'of an earlier process' };

function sleeper(): { child: ChildProcess; identity: ProcessIdentity } {
  const child = spawn('sleep', ['60']);
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const identity = identifyProcess(child.pid ?? 0);
  if (!identity) throw new Error('sleep did not start');
  return { child, identity };
}

function leaveBehind(parent: string, name: string, processes: readonly ProcessIdentity[]): string {
  const folder = join(parent, `ballast-control-plane-${name}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'owner.json'), JSON.stringify({ owner: DEAD_OWNER, processes }));
  return folder;
}

describe('removeStaleFolders', () => {
  it('removes the folder of a dead owner and kills the processes that worked in it', async () => {
    const parent = temporaryFolder();
    const { child, identity } = sleeper();
    const gone = once(child, 'exit');
    const folder = leaveBehind(parent, 'killed', [identity]);
    expect(await removeStaleFolders(parent)).toEqual([folder]);
    expect(await gone).toEqual([null, 'SIGKILL']);
    expect(existsSync(folder)).toBe(false);
  });

  it('leaves a process alone that only has the number of a recorded one', async () => {
    const parent = temporaryFolder();
    const { identity } = sleeper();
    leaveBehind(parent, 'killed', [{ ...identity, start: 'of an earlier process' }]);
    await removeStaleFolders(parent);
    expect(isRunning(identity)).toBe(true);
  });

  it('leaves the folder and the processes of a living owner alone', async () => {
    const parent = temporaryFolder();
    const { identity } = sleeper();
    const folder = await createDataFolder(parent);
    recordProcesses(folder, [identity]);
    expect(await removeStaleFolders(parent)).toEqual([]);
    expect(existsSync(folder)).toBe(true);
    expect(isRunning(identity)).toBe(true);
  });

  it('gives a folder that has no record yet a minute before it counts as left behind', async () => {
    const parent = temporaryFolder();
    const folder = join(parent, 'ballast-control-plane-new');
    mkdirSync(folder);
    expect(await removeStaleFolders(parent)).toEqual([]);
    const earlier = Date.now() / 1000 - 120;
    utimesSync(folder, earlier, earlier);
    expect(await removeStaleFolders(parent)).toEqual([folder]);
  });

  it('does not touch folders of other names', async () => {
    const parent = temporaryFolder();
    const folder = join(parent, 'somebody-elses');
    mkdirSync(folder);
    const earlier = Date.now() / 1000 - 120;
    utimesSync(folder, earlier, earlier);
    await removeStaleFolders(parent);
    expect(existsSync(folder)).toBe(true);
  });
});

describe('identifyProcess', () => {
  it('knows no process that has ended', async () => {
    const { child, identity } = sleeper();
    expect(isRunning(identity)).toBe(true);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    expect(identifyProcess(identity.pid)).toBeUndefined();
  });

  it('tells two processes apart by their start', () => {
    expect(identifyProcess(1)?.start).not.toBe(ownIdentity().start);
  });
});
