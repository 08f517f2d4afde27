import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runCommand } from '#test/runner/command';
import { collect, judge, summaryLines, type Outcome } from '#test/runner/outcome';
import { STAGES, together } from '#test/runner/stages';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Of a vitest that starts on a busy machine. */
const SUITE_MS = 100_000;
/** Long, for programs that end by themselves or are ended. */
const PROGRAM_MS = 30_000;
vi.setConfig({ testTimeout: SUITE_MS + 20_000 });

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** Runs vitest with our reporter on a folder with this one test file, as the runner does. */
async function runSuite(source: string | undefined): Promise<Outcome> {
  await mkdir(join(root, '.vitest'), { recursive: true });
  const folder = await mkdtemp(join(root, '.vitest/runner-'));
  folders.push(folder);
  await writeFile(join(folder, 'vitest.config.mjs'), 'export default {}');
  if (source !== undefined) {
    await writeFile(join(folder, 'a.test.mjs'), `import { beforeAll, describe, expect, it } from 'vitest';\n${source}`);
  }
  const result = await runCommand({
    command: process.execPath,
    arguments: [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--root',
      folder,
      '--reporter',
      join(root, 'test/runner/reporter.ts'),
    ],
    timeoutMs: SUITE_MS,
    signal: AbortSignal.timeout(SUITE_MS),
    output: 'capture',
    sendsMessages: true,
  });
  return judge('suite', collect(result.messages), result);
}

describe('a run of a suite', () => {
  it('counts passed, failed and skipped tests, with message and reason', async () => {
    const outcome = await runSuite(`
      it('holds', () => {});
      it('breaks', () => expect(1).toBe(2));
      it('cannot run here', (context) => context.skip('no root'));
      it.skip('is switched off', () => {});
    `);
    expect(outcome.passed).toBe(1);
    expect(outcome.failures).toHaveLength(1);
    expect(outcome.failures[0]?.name).toContain('a.test.mjs > breaks');
    expect(outcome.failures[0]?.message).toContain('expected 1 to be 2');
    expect(outcome.skips.map((skip) => skip.reason)).toEqual(['no root', 'marked skip, no reason given']);
  });

  it('fails when a hook fails, though no test did', async () => {
    const outcome = await runSuite(`
      describe('inside', () => {
        beforeAll(() => { throw new Error('no cluster'); });
        it('never runs', () => {});
      });
    `);
    expect(outcome.failures.map((failure) => failure.message).join()).toContain('no cluster');
    expect(outcome.skips.map((skip) => skip.reason)).toEqual(['a hook before it failed']);
  });

  it('fails when nothing handled an error, though every test passed', async () => {
    const outcome = await runSuite(`
      it('leaves a promise behind', async () => {
        void Promise.reject(new Error('left behind'));
        await new Promise((resolve) => setTimeout(resolve, 50));
      });
    `);
    expect(outcome.passed).toBe(1);
    expect(outcome.failures.map((failure) => failure.message).join()).toContain('left behind');
  });

  it('fails when a file cannot be loaded', async () => {
    const outcome = await runSuite(`import './missing.mjs';\nit('never runs', () => {});`);
    expect(outcome.failures.map((failure) => failure.message).join()).toContain('missing.mjs');
  });

  it('fails when there is no test at all', async () => {
    expect((await runSuite(undefined)).failures).toHaveLength(1);
  });

  it('fails when every test was skipped', async () => {
    const outcome = await runSuite(`it.skip('is switched off', () => {});`);
    expect(outcome.failures).toEqual([{ name: 'suite', message: 'not a single test ran' }]);
  });
});

describe('a program that hangs', () => {
  it('is ended, with all its children, and counts as failed', async () => {
    const startedAt = performance.now();
    const result = await runCommand({
      command: 'sh',
      arguments: ['-c', 'sleep 90 & sleep 90'],
      timeoutMs: 200,
      signal: AbortSignal.timeout(60_000),
      output: 'capture',
    });
    expect(result).toMatchObject({ ok: false, exit: 'no end within 0.2 s' });
    expect(performance.now() - startedAt).toBeLessThan(60_000);
  });

  it('is not waited for when it has ended and only a stranger holds its output', async () => {
    const result = await runCommand({
      command: 'sh',
      arguments: ['-c', 'setsid sleep 45 & echo done'],
      timeoutMs: PROGRAM_MS,
      signal: AbortSignal.timeout(PROGRAM_MS),
      output: 'capture',
    });
    expect(result).toMatchObject({ ok: true, text: 'done\n' });
  });

  it('gives way to others when it is told to, with all its children', async () => {
    const result = await runCommand({
      command: 'sh',
      arguments: ['-c', 'sleep 1; sh -c nice'],
      timeoutMs: PROGRAM_MS,
      signal: AbortSignal.timeout(PROGRAM_MS),
      output: 'capture',
      niceness: 15,
    });
    expect(result).toMatchObject({ ok: true, text: '15\n' });
  });

  it('says so when the program does not exist', async () => {
    const result = await runCommand({
      command: join(root, 'no-such-program'),
      arguments: [],
      timeoutMs: PROGRAM_MS,
      signal: AbortSignal.timeout(PROGRAM_MS),
      output: 'capture',
    });
    expect(result.ok).toBe(false);
    expect(result.exit).toContain('ENOENT');
  });
});

describe('the stages', () => {
  const names = (wanted: (name: string) => boolean): readonly (readonly string[])[] =>
    together(STAGES.filter(({ name }) => wanted(name))).map((group) => group.map(({ name }) => name));

  it('run one after the other, but the soak beside the end-to-end tests', () => {
    expect(names(() => true)).toEqual([['checks'], ['unit'], ['contract'], ['integration'], ['e2e', 'soak']]);
  });

  it('run alone when the one beside is not wanted', () => {
    expect(names((name) => name === 'soak')).toEqual([['soak']]);
    expect(names((name) => name === 'integration' || name === 'soak')).toEqual([['integration'], ['soak']]);
  });
});

describe('the summary', () => {
  it('names every failure and skip and closes with the counts', () => {
    const lines = summaryLines([
      { passed: 2, failures: [{ name: 'a > b', message: 'one\ntwo' }], skips: [] },
      { passed: 1, failures: [], skips: [{ name: 'c', reason: 'needs root' }] },
    ]);
    expect(lines).toEqual(['FAILED a > b', '  one', '  two', 'SKIPPED c: needs root', '3 passed, 1 failed, 1 skipped']);
  });
});
