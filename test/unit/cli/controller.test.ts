import { describe, expect, it } from 'vitest';
import { CORE_OPTIONS } from '#src/config/core-options';
import { ballast } from './cli.ts';

describe('ballast controller --help', () => {
  it('has every option once, under its heading, with default and form', async () => {
    const { exitCode, stdout } = await ballast(['controller', '--help']);
    expect(exitCode).toBe(0);
    for (const { name } of CORE_OPTIONS) {
      expect(stdout.split('\n').filter((line) => line.startsWith(`  --${name} `))).toHaveLength(1);
    }
    const headings = stdout.split('\n').filter((line) => /^[A-Z][\w ]*:$/.test(line));
    expect(headings).toEqual([
      'Cluster:',
      'Services:',
      'Leader election:',
      'Process:',
      'Provider proxy:',
      'Other:',
      'Examples:',
    ]);
    expect(stdout).toContain('The pool. (addresses; default: 127.0.0.1)');
    expect(stdout).toContain('BALLAST_LOG_LEVEL=debug');
  });
});

describe('ballast controller with a wrong configuration', () => {
  it('ends with 64 before it does anything, with a line for each mistake and a hint', async () => {
    const run = await ballast(['controller', '--workers', 'many'], { env: { BALLAST_LOG_LEVL: 'debug' } });
    expect(run).toEqual({
      exitCode: 64,
      stdout: '',
      stderr:
        'ballast: The environment variable BALLAST_LOG_LEVL means nothing; did you mean BALLAST_LOG_LEVEL?\n' +
        'ballast: --workers many must be a whole number from 1 to 100.\n' +
        '  hint: Correct the setting that the message names; ballast controller --help lists them all.\n',
    });
  });

  it('suggests the flag that was meant', async () => {
    const { exitCode, stderr } = await ballast(['controller', '--proxy-adresses', '127.0.0.1']);
    expect(exitCode).toBe(64);
    expect(stderr).toContain('unknown flag --proxy-adresses; did you mean --proxy-addresses?');
  });

  it('takes a switch with and without a value', async () => {
    for (const flags of [['--leader-elect'], ['--leader-elect', 'false'], ['--leader-elect=false']]) {
      const { stderr } = await ballast(['controller', ...flags, '--workers', '0']);
      expect(stderr.split('\n')[0]).toBe('ballast: --workers 0 must be a whole number from 1 to 100.');
    }
    const { stderr } = await ballast(['controller', '--leader-elect=maybe']);
    expect(stderr).toContain('--leader-elect maybe must be `true` or `false`');
  });
});
