/** Waits until the world has come to rest, and is as it must be. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SoakCluster } from './cluster.ts';
import { observe } from './observe.ts';
import type { Operator } from './operator.ts';
import { judge } from './oracle/judge.ts';
import type { Remembered, World } from './oracle/world.ts';
import type { Site } from './site.ts';
import { checkTraffic } from './traffic.ts';

const LOOK_EVERY_MS = 300;
/** For so long nothing may be written any more. */
const REST_MS = 800;

export interface Question {
  readonly cluster: SoakCluster;
  readonly operator: Operator;
  readonly site: Site;
  /** What the round before has left. */
  readonly before: readonly Remembered[];
  /** `namespace/name` of everyone about whom something was done since. */
  readonly touched: ReadonlySet<string>;
  /** How long it may take; the longest waits between two attempts of the controller are part of it. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

export interface Rest {
  /** Undefined when all is well. */
  readonly complaints: readonly string[] | undefined;
  readonly loadBalancers: readonly Remembered[];
  readonly tookMs: number;
  /** What was waited for last. */
  readonly waitedFor: readonly string[];
  /** What was seen last. */
  readonly world: World | undefined;
}

/** Resolves once two looks in a row found nothing to complain of and nothing written between them, or time is up. */
export async function untilQuiet(question: Question): Promise<Rest> {
  const { cluster, operator, site, limitMs, signal } = question;
  const startedAt = performance.now();
  let calm: { readonly fingerprint: string; readonly since: number } | undefined;
  let world: World | undefined;
  let waitedFor: readonly string[] = [];
  for (;;) {
    if (signal.aborted) return { complaints: ['interrupted'], loadBalancers: [], tookMs: 0, waitedFor, world };
    const fatal = cluster.complaints;
    const tookMs = performance.now() - startedAt;
    if (fatal.length > 0) return { complaints: fatal, loadBalancers: [], tookMs, waitedFor, world };
    const picture = await observe(cluster, operator, site).catch((error: unknown) => String(error));
    let complaints: readonly string[];
    if (typeof picture === 'string') {
      complaints = [picture];
    } else {
      ({ world } = picture);
      const verdict = judge(world, question.before, question.touched);
      complaints = verdict.complaints;
      if (complaints.length === 0) {
        complaints = await checkTraffic(verdict.sockets, world, site).catch((error: unknown) => [String(error)]);
      }
      if (complaints.length === 0 && calm?.fingerprint !== picture.fingerprint) {
        if (calm) complaints = ['Services are still being written.'];
        calm = { fingerprint: picture.fingerprint, since: performance.now() };
      } else if (complaints.length === 0 && calm && performance.now() - calm.since >= REST_MS) {
        return { complaints: undefined, loadBalancers: verdict.loadBalancers, tookMs, waitedFor, world };
      }
    }
    if (complaints.length > 0) waitedFor = complaints;
    if (tookMs > limitMs) return { complaints, loadBalancers: [], tookMs, waitedFor, world };
    await sleep(LOOK_EVERY_MS);
  }
}
