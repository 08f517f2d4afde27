import { describe, expect, it } from 'vitest';
import { ballast } from './cli.ts';

describe('ballast version', () => {
  it('says version, Node.js and providers', async () => {
    const run = await ballast(['version']);
    expect(run).toEqual({
      exitCode: 0,
      stdout: `ballast 1.2.3 (Node.js ${process.versions.node}; providers: proxy)\n`,
      stderr: '',
    });
  });

  it('says it in JSON', async () => {
    const { stdout } = await ballast(['version', '-o', 'json']);
    expect(JSON.parse(stdout)).toEqual({ version: '1.2.3', node: process.versions.node, providers: ['proxy'] });
  });
});

describe('help', () => {
  it('lists the commands, examples and exit codes on standard output', async () => {
    const { exitCode, stdout, stderr } = await ballast(['--help']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    for (const word of ['version', 'Examples:', 'ballast explain svc/web', 'Exit codes:', '64']) {
      expect(stdout).toContain(word);
    }
  });

  it('is what somebody gets who says nothing, as an error', async () => {
    const { exitCode, stdout, stderr } = await ballast([]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
    expect(stderr).toContain('Usage: ballast');
  });
});

describe('a wrong command line ends with 64, one clear line and a hint', () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [
      ['verson'],
      'ballast: unknown command verson; did you mean version?\n  hint: `ballast --help` shows what there is\n',
    ],
    [['frobnicate'], 'ballast: unknown command frobnicate.\n  hint: `ballast --help` shows what there is\n'],
    [
      ['version', '--outptu', 'json'],
      'ballast: unknown flag --outptu; did you mean --output?\n  hint: `ballast version --help` shows what there is\n',
    ],
    [
      ['version', '-o', 'xml'],
      "ballast: option '-o, --output <form>' argument 'xml' is invalid. Allowed choices are text, json.\n" +
        '  hint: `ballast version --help` shows what there is\n',
    ],
    [
      ['version', 'now'],
      "ballast: too many arguments for 'version'. Expected 0 arguments but got 1: now.\n" +
        '  hint: `ballast version --help` shows what there is\n',
    ],
  ];
  for (const [argv, stderr] of cases) {
    it(`ballast ${argv.join(' ')}`, async () => {
      expect(await ballast(argv)).toEqual({ exitCode: 64, stdout: '', stderr });
    });
  }
});
