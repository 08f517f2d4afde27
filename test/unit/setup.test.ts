import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from './control-plane/temporary-folder.ts';

const SETUP = fileURLToPath(new URL('../setup.mjs', import.meta.url));

/** Writes a line per call and makes what the real one would: a Node in node_modules. */
const FAKE_NPM = `#!/bin/sh
echo "$PATH $*" >> npm.log
[ -f npm-fails ] && { echo "npm error no such package" >&2; exit 7; }
mkdir -p node_modules/.bin
printf '#!/bin/sh\\n' > node_modules/.bin/node
chmod 755 node_modules/.bin/node
`;

let project: string;

beforeEach(() => {
  project = temporaryFolder();
  mkdirSync(join(project, 'test'));
  mkdirSync(join(project, 'bin'));
  copyFileSync(SETUP, join(project, 'test/setup.mjs'));
  writeFileSync(join(project, 'package-lock.json'), '{}');
  writeFileSync(join(project, 'bin/npm'), FAKE_NPM);
  chmodSync(join(project, 'bin/npm'), 0o755);
});

function setup(): { code: number | null; said: string } {
  const path = [join(project, 'node_modules/.bin'), join(project, 'bin'), dirname(process.execPath), '/usr/bin:/bin'];
  const { status, stderr } = spawnSync(process.execPath, [join(project, 'test/setup.mjs')], {
    env: { PATH: path.join(':'), CI: 'true' },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  return { code: status, said: stderr };
}

function npmCalls(): string[] {
  const log = join(project, 'npm.log');
  return existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
}

describe('setup.mjs', () => {
  it('installs once, in one line, and then has nothing to do', () => {
    const first = setup();
    expect(first.code).toBe(0);
    expect(first.said).toMatch(/^Installing the packages .* \.\.\. done in \d+ s\.\n$/);
    expect(setup()).toEqual({ code: 0, said: '' });
    expect(npmCalls()).toHaveLength(1);
  });

  it('installs again when the lock file has changed', () => {
    setup();
    writeFileSync(join(project, 'package-lock.json'), '{"changed":true}');
    setup();
    setup();
    expect(npmCalls()).toHaveLength(2);
  });

  it('does not run npm with the programs that npm is about to replace', () => {
    setup();
    expect(npmCalls()[0]).not.toContain(join(project, 'node_modules'));
  });

  it('fails with the reason when npm fails, and tries again the next time', () => {
    writeFileSync(join(project, 'npm-fails'), '');
    const failed = setup();
    expect(failed.code).toBe(1);
    expect(failed.said).toContain('npm error no such package');
    setup();
    expect(npmCalls()).toHaveLength(2);
  });

  it('does not believe an earlier installation after a failed one', () => {
    setup();
    writeFileSync(join(project, 'package-lock.json'), '{"changed":true}');
    writeFileSync(join(project, 'npm-fails'), '');
    setup();
    writeFileSync(join(project, 'package-lock.json'), '{}');
    expect(setup().code).toBe(1);
  });
});
