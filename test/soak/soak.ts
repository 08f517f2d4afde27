/** Runs rounds: operations and faults, then rest, then the question whether all is as it must be. */
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startCluster } from './cluster.ts';
import { Faults } from './faults.ts';
import { Operator, OperationError } from './operator.ts';
import type { Remembered } from './oracle/world.ts';
import { untilQuiet, type Rest } from './quiet.ts';
import type { Action, Line, Operation } from './script.ts';
import type { Site } from './site.ts';

export interface SoakOptions {
  readonly site: Site;
  /** Whether the small cloud takes part. */
  readonly hasCloud: boolean;
  /** Takes the logs of the controllers and, of a failure, what was seen last. */
  readonly folder: string;
  /** The actions of the next round; undefined after the last. */
  readonly next: () => readonly Line[] | undefined;
  /** Told of each action before it happens. */
  readonly onLine?: (line: Line) => void;
  /** Told of each round that ended well. */
  readonly onRound?: (round: Round) => void;
  /** How long it may take after the last fault until all is as it must be. */
  readonly quietLimitMs: number;
  readonly signal: AbortSignal;
}

export interface Round {
  readonly number: number;
  readonly operations: number;
  readonly faults: number;
  /** Milliseconds from the end of the last fault until all was well. */
  readonly quietAfterMs: number;
  /** What was waited for last. */
  readonly waitedFor: readonly string[];
  /** Writes to the Service that was written most. */
  readonly mostWrites: number;
  readonly cloudWrites: number;
}

export interface Failure {
  readonly round: number;
  readonly complaints: readonly string[];
}

export interface SoakResult {
  readonly rounds: readonly Round[];
  readonly failure: Failure | undefined;
  /** How often a controller process was started. */
  readonly starts: number;
}

/** Runs to the end of the rounds or to the first failure, on a cluster of its own. */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const { site, hasCloud, folder, next, onLine, onRound, quietLimitMs, signal } = options;
  await using cluster = await startCluster(site, folder, hasCloud);
  const operator = new Operator(cluster.plane, site);
  const rounds: Round[] = [];
  let before: readonly Remembered[] = [];
  const result = (failure?: Failure): SoakResult => ({
    rounds,
    failure,
    starts: cluster.replicas.reduce((sum, { starts }) => sum + starts, 0),
  });
  for (let lines = next(); lines !== undefined && !signal.aborted; lines = next()) {
    const number = lines[0]?.round ?? rounds.length + 1;
    const faults = new Faults(cluster);
    cluster.writes.begin(lines.length);
    try {
      await faults.prepare(lines.map(({ action }) => action));
      for (const line of lines) {
        await sleep(line.afterMs);
        onLine?.(line);
        if (isOperation(line.action)) await operator.carryOut(line.action);
        else await faults.make(line.action);
      }
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
      return result({ round: number, complaints: [error.message] });
    } finally {
      await faults.end();
    }
    const operations = lines.flatMap(({ action }) => (isOperation(action) ? action : []));
    const touched = new Set(operations.flatMap((operation) => (operation.do === 'node' ? [] : operation.service)));
    const rest = await untilQuiet({ cluster, operator, site, before, touched, limitMs: quietLimitMs, signal });
    if (rest.complaints) {
      await keep(folder, rest);
      return result({ round: number, complaints: rest.complaints });
    }
    before = rest.loadBalancers;
    const round = {
      number,
      operations: operations.length,
      faults: lines.length - operations.length,
      quietAfterMs: rest.tookMs,
      waitedFor: rest.waitedFor,
      mostWrites: cluster.writes.mostToOneService,
      cloudWrites: cluster.writes.toCloud,
    };
    rounds.push(round);
    onRound?.(round);
  }
  return result();
}

function isOperation(action: Action): action is Operation {
  return ['create', 'edit', 'delete', 'recreate', 'tamper', 'node', 'endpoints'].includes(action.do);
}

/** What was seen last, for whoever wants to understand. */
async function keep(folder: string, { world }: Rest): Promise<void> {
  if (!world) return;
  const { wanted, ...rest } = world;
  const text = JSON.stringify({ ...rest, wanted: [...wanted] }, undefined, 2);
  await writeFile(join(folder, 'world.json'), text);
}
