/**
 * `npm run soak -- [--minutes M] [--seed S] [--replay FILE] [--shrink-minutes N] [--patience-minutes P]`: random
 * operations and faults on a real API server with two real controllers, and an oracle that says what must be
 * afterwards. See `docs/soak.md`.
 */
import { randomInt } from 'node:crypto';
import { createWriteStream, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Message } from '#test/runner/outcome';
import { Generator } from './generator.ts';
import { Random } from './random.ts';
import { parseScript, roundsOf, type Head, type Line } from './script.ts';
import { shrink } from './shrink.ts';
import { hasIpv6, Site } from './site.ts';
import { runSoak, type Round, type SoakResult } from './soak.ts';

const MINUTE_MS = 60_000;
/** While a failure is made smaller, what takes longer than this counts as the failure. */
const SHRINK_QUIET_LIMIT_MS = MINUTE_MS;

/** A round that took longer to come to rest says what it waited for. */
const WORTH_A_REASON_MS = 15_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string' },
    replay: { type: 'string' },
    'shrink-minutes': { type: 'string', default: '0' },
    /** The longest pauses of the controller's retries, a takeover, and a slow machine. */
    'patience-minutes': { type: 'string', default: '10' },
  },
});
const minutes = numberOf('minutes', values.minutes);
const shrinkMinutes = numberOf('shrink-minutes', values['shrink-minutes']);
const quietLimitMs = numberOf('patience-minutes', values['patience-minutes']) * MINUTE_MS;
const seed = values.seed === undefined ? randomInt(2 ** 31) : numberOf('seed', values.seed);

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort());

const folder = await mkdtemp(join(tmpdir(), 'ballast-soak-'));
const replay = values.replay === undefined ? undefined : parseScript(await readFile(values.replay, 'utf8'));
/** Of so many seeds one goes without the cloud: a leader whose providers are all in its process outlives its Lease. */
const WITHOUT_CLOUD = 4;
const head: Head = replay?.head ?? { soak: 1, seed, ipv6: hasIpv6(), cloud: seed % WITHOUT_CLOUD !== 0 };
const hasCloud = head.cloud ?? false;
const logPath = join(folder, 'soak.jsonl');
const what = replay ? `replays ${values.replay}` : `seed ${head.seed}, ${minutes} minutes`;
say(`${what}, ${hasCloud ? 'with' : 'without'} the small cloud`);

const done: Line[] = [];
const result = await runLogged();
report(result);
if (result.failure) await explain();
else await rm(folder, { recursive: true, force: true });

async function runLogged(): Promise<SoakResult> {
  const log = createWriteStream(logPath);
  log.write(`${JSON.stringify(head)}\n`);
  const result = await runSoak({
    site: new Site(process.pid, head.ipv6),
    hasCloud,
    folder,
    next: replay ? nextOf(replay.lines) : untilTime(new Generator(new Random(head.seed), head), minutes * MINUTE_MS),
    onLine(line) {
      done.push(line);
      log.write(`${JSON.stringify(line)}\n`);
    },
    onRound: sayRound,
    quietLimitMs,
    signal: interrupt.signal,
  });
  await new Promise((resolve) => log.end(resolve));
  return result;
}

function nextOf(lines: readonly Line[]): () => readonly Line[] | undefined {
  const rounds = roundsOf(lines).values();
  return () => rounds.next().value;
}

function untilTime(generator: Generator, forMs: number): () => readonly Line[] | undefined {
  let end: number | undefined;
  return () => {
    // Only rounds count, not the start of the cluster.
    end ??= performance.now() + forMs;
    return performance.now() < end ? generator.next() : undefined;
  };
}

function sayRound({ number, operations, faults, quietAfterMs, waitedFor }: Round): void {
  const counts = `${operations} operations, ${faults} faults`;
  const wait = quietAfterMs > WORTH_A_REASON_MS ? `; waited last for: ${waitedFor.join(' ')}` : '';
  say(`round ${number}: ${counts}, right ${(quietAfterMs / 1_000).toFixed(1)} s after the last of them${wait}`);
}

function report({ rounds, failure, starts }: SoakResult): void {
  const sum = (count: (round: Round) => number): number => rounds.reduce((total, round) => total + count(round), 0);
  const mostWrites = Math.max(0, ...rounds.map(({ mostWrites }) => mostWrites));
  const slowest = Math.max(0, ...rounds.map(({ quietAfterMs }) => quietAfterMs));
  const text =
    `seed ${head.seed}: ${rounds.length} rounds, ${sum(({ operations }) => operations)} operations, ` +
    `${sum(({ faults }) => faults)} faults, controllers started ${starts} times, ` +
    `slowest return to rest ${(slowest / 1_000).toFixed(1)} s, ` +
    `at most ${mostWrites} writes to one Service in a round, ` +
    `${sum(({ cloudWrites }) => cloudWrites)} to the cloud`;
  say(text);
  const name = `test/soak > seed ${head.seed}`;
  if (failure) {
    const how = `The log of the run is ${logPath}; run it again with: npm run soak -- --replay ${logPath}`;
    const message = [`round ${failure.round}:`, ...failure.complaints, how].join('\n');
    process.stdout.write(`${message}\n`);
    tell({ kind: 'failed', name, message });
    process.exitCode = 1;
  } else if (rounds.length === 0) {
    tell({ kind: 'failed', name, message: 'not a single round was run' });
    process.exitCode = 1;
  } else {
    tell({ kind: 'passed' });
  }
}

/** Makes the failure smaller, as far as there is time for it. */
async function explain(): Promise<void> {
  if (shrinkMinutes === 0) {
    say('with --shrink-minutes N, a replay looks for fewer actions that fail as well');
    return;
  }
  const end = performance.now() + shrinkMinutes * MINUTE_MS;
  let tries = 0;
  const smallest = await shrink(
    done,
    async (lines) => {
      tries += 1;
      const { failure } = await runSoak({
        site: new Site(process.pid, head.ipv6),
        hasCloud,
        folder: join(folder, `try-${tries}`),
        next: nextOf(lines),
        quietLimitMs: SHRINK_QUIET_LIMIT_MS,
        signal: interrupt.signal,
      });
      say(`try ${tries}: ${lines.length} actions ${failure ? 'fail' : 'pass'}`);
      return failure !== undefined;
    },
    () => performance.now() < end && !interrupt.signal.aborted,
  );
  const path = join(folder, 'smallest.jsonl');
  writeFileSync(path, [head, ...smallest].map((line) => `${JSON.stringify(line)}\n`).join(''));
  say(`${smallest.length} of ${done.length} actions fail as well: npm run soak -- --replay ${path}`);
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    process.stderr.write(`--${name} must be a number, not ${text}.\n`);
    process.exit(2);
  }
  return value;
}

function say(text: string): void {
  process.stdout.write(`  soak: ${text}\n`);
}

/** The runner of `npm test` listens on the channel it gave this process; by hand there is none. */
function tell(message: Message): void {
  process.send?.(message);
}
