/** Commands of the documentation, on a real API server, with what their reader has then. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { PROVIDERS } from '#providers/registry';
import { providerSettings } from '#src/cli/context';
import { serviceConfig } from '#src/cli/service-config';
import { loadConfig } from '#src/config';
import { claimOf } from '#src/loadbalancer/claim';
import { claimRules } from '#src/service/config';
import { commandsOf } from '#test/lab/page-commands';
import { useCluster } from './service/cluster.ts';

const cluster = useCluster();

async function page(path: string): Promise<string> {
  return readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/** The command of these that begins like this, without its beginning, as words; quotes are single. */
function wordsOf(commands: string, beginning: string): readonly string[] {
  const line = commands.split('\n').find((each) => each.startsWith(beginning)) ?? '';
  const words = line.slice(beginning.length).matchAll(/'([^']*)'|(\S+)/g);
  return [...words].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

describe('docs/lab.md, without the lab', () => {
  it('has the controller take the Service that it has the reader make', async () => {
    const text = await page('docs/lab.md');
    const [start, use] = [commandsOf(text, '## Without the lab'), commandsOf(text, 'In another terminal')];
    const argv = wordsOf(start, 'npm run ballast -- controller');
    const flags = Object.fromEntries(
      argv.flatMap((word, index) => (word.startsWith('--') ? [[word.slice(2), argv[index + 1] ?? '']] : [])),
    );
    // Nothing behind the controller: it stays in the foreground.
    expect(start.trimEnd().split('\n').at(-1)).toContain('ballast -- controller');
    const namespace = await cluster.namespace();
    for (const command of ['create deployment', 'expose']) {
      const words = wordsOf(use, `kubectl ${command}`);
      const done = await cluster.plane.kubectl([...command.split(' '), '-n', namespace.name, ...words]);
      expect(done).toMatchObject({ code: 0, stderr: '' });
    }
    const { config } = await loadConfig({ flags, env: {}, providers: providerSettings({ providers: PROVIDERS }) });
    const claimants = Object.entries(PROVIDERS).map(([name, { loadBalancerClass }]) => ({ name, loadBalancerClass }));
    const rules = claimRules(serviceConfig(config), claimants);
    expect(claimOf(await namespace.get('web'), rules).provider).toBe('proxy');
  });
});

describe('README.md', () => {
  it('takes our finalizer off by hand, and nobody else’s', async () => {
    const patch = wordsOf(commandsOf(await page('README.md'), 'take the finalizer off by hand'), 'kubectl patch');
    const namespace = await cluster.namespace();
    const foreign = 'example.com/backup';
    const run = async (words: readonly string[]): Promise<number> =>
      (await cluster.plane.kubectl(['patch', '-n', namespace.name, ...words])).code;
    await namespace.create('web', { finalizers: ['ballast.dev/proxy', foreign] });
    expect(await run(patch)).toBe(0);
    expect((await namespace.get('web')).metadata.finalizers).toEqual([foreign]);
    // Behind another one, it is refused until the reader has put its number.
    await namespace.patch('web', { metadata: { finalizers: [foreign, 'ballast.dev/proxy'] } });
    expect(await run(patch)).not.toBe(0);
    expect((await namespace.get('web')).metadata.finalizers).toEqual([foreign, 'ballast.dev/proxy']);
    expect(await run(patch.map((word) => word.replaceAll('finalizers/0', 'finalizers/1')))).toBe(0);
    expect((await namespace.get('web')).metadata.finalizers).toEqual([foreign]);
  });
});
