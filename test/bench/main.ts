/**
 * `npm run bench`: measures the controller against a real kube-apiserver; `docs/benchmarks.md` says what the figures
 * mean.
 */
import { writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { KUBERNETES_VERSION } from '#test/control-plane/kubernetes-binaries';
import { churn } from './churn.ts';
import { LargeCluster } from './large-cluster.ts';
import { summarize, type Measure } from './measure.ts';
import { metallb } from './metallb.ts';
import { table } from './report.ts';
import type { Scenario } from './scenario.ts';
import { scale } from './scale.ts';
import { services } from './services.ts';
import { start } from './start.ts';
import { proxy } from './proxy.ts';
import { processorName } from './subject.ts';

const HELP = `npm run bench [-- SCENARIO… options]

Scenarios: services churn scale start proxy; all when none is named.

  --runs N             runs of each scenario; the table shows the median and the least (default 1)
  --check              exit code 1 when a target is missed
  --json FILE          write the figures there too
  --share S            that share of all Services and nodes, to try things out (0.1)
  --metallb FOLDER     a checkout of MetalLB to measure beside Ballast in \`services\` (built there with Go)
  --node-flag FLAG     a flag for Ballast's Node.js (--cpu-prof --cpu-prof-dir=…); may be given several times
  --help               this text
`;

const SCENARIOS: Readonly<Record<string, Scenario>> = { services, churn, scale, start, proxy };

/** Of the large cluster. */
const NODES = 5_000;

function progress(line: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '1' },
      check: { type: 'boolean', default: false },
      json: { type: 'string' },
      share: { type: 'string', default: '1' },
      metallb: { type: 'string' },
      'node-flag': { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const unknown = positionals.filter((name) => !(name in SCENARIOS));
  if (unknown.length > 0)
    throw new Error(`no scenario ${unknown.join(', ')}; there are ${Object.keys(SCENARIOS).join(' ')}`);
  // In our order: the large cluster only grows.
  const names = Object.keys(SCENARIOS).filter((name) => positionals.length === 0 || positionals.includes(name));
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1)
    throw new Error(`--runs must be a whole number from 1 on, not ${values.runs}`);

  const peer = values.metallb === undefined ? undefined : await metallb(values.metallb);
  const share = Number(values.share);
  const measured = new Map<string, (readonly Measure[])[]>(names.map((name) => [name, []]));
  let failed = false;
  for (let run = 1; run <= runs; run++) {
    await using large = new LargeCluster({ progress, nodeFlags: values['node-flag'] }, Math.round(NODES * share));
    for (const name of names) {
      progress(`${name}: run ${run} of ${runs}`);
      try {
        const context = { progress, peer, share, nodeFlags: values['node-flag'], largeCluster: () => large.get() };
        measured.get(name)?.push((await SCENARIOS[name]?.(context)) ?? []);
      } catch (error) {
        failed = true;
        progress(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
  }
  const summaries = [...measured].flatMap(([name, each]) => summarize(name, each));
  const machine = await describeMachine();
  const json = JSON.stringify({ machine, figures: summaries });
  process.stdout.write(`${table(summaries)}\n\n${json}\n`);
  if (values.json !== undefined) await writeFile(values.json, `${json}\n`);
  const missed = summaries.filter(({ met }) => met === false);
  if (missed.length > 0)
    progress(`missed: ${missed.map(({ scenario, figure }) => `${scenario}: ${figure}`).join('; ')}`);
  return failed || (values.check && missed.length > 0) ? 1 : 0;
}

async function describeMachine(): Promise<object> {
  return {
    processor: await processorName(),
    processors: cpus().length,
    memoryGigabytes: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
    kubernetes: KUBERNETES_VERSION,
    date: new Date().toISOString(),
  };
}

process.exitCode = await main();
