import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { addToCache, cacheFolder, hasPrograms, isExecutable, removeDrafts } from './binary-cache.ts';
import { type BinarySpec, type Platform, platformName, thisPlatform } from './binary-spec.ts';
import { buildBinary, requireBuildTools } from './build-binary.ts';
import { withBuildLock } from './build-lock.ts';
import { ChecksumError, downloadBinary } from './download-binary.ts';
import { givenAsset } from './given-assets.ts';
import { formatEstimate, formatSeconds, type ProgressLine } from './progress.ts';

export type { BinarySpec } from './binary-spec.ts';

export interface ResolveOptions {
  /** Gets a line when something takes long or is out of the ordinary; nothing when all is in the cache. */
  readonly progress: ProgressLine;
  readonly signal?: AbortSignal;
  /** Default: this process's. Read: `KUBEBUILDER_ASSETS`, `BALLAST_CACHE`, `XDG_CACHE_HOME`, and what Go reads. */
  readonly env?: NodeJS.ProcessEnv;
  /** Default: the platform of this process. */
  readonly platform?: Platform;
}

type Context = Required<Pick<ResolveOptions, 'progress' | 'env' | 'platform'>> & Pick<ResolveOptions, 'signal'>;

/** A program that is not there yet, and where it will be. */
interface Missing {
  readonly spec: BinarySpec;
  readonly folder: string;
  readonly path: string;
  readonly label: string;
}

/**
 * Finds or makes the programs: from the folder `KUBEBUILDER_ASSETS`, from the cache, by download where a checksum is
 * pinned, else by a build from the pinned Go modules, in that order. Returns the path of each by its name. Rejects with
 * what to do when a program can neither be found nor made. Several processes may do this at once.
 */
export async function resolveBinaries(
  specs: readonly BinarySpec[],
  options: ResolveOptions,
): Promise<ReadonlyMap<string, string>> {
  const context: Context = { env: process.env, platform: thisPlatform(), ...options };
  const paths = new Map<string, string>();
  const absent: BinarySpec[] = [];
  for (const spec of specs) {
    if (paths.has(spec.name) || absent.some(({ name }) => name === spec.name)) {
      throw new Error(`Two programs are called ${spec.name}; names must be unique`);
    }
    const path = await findPresent(spec, context);
    if (path === undefined) absent.push(spec);
    else paths.set(spec.name, path);
  }
  const missing = absent.map((spec, index): Missing => {
    const folder = cacheFolder(spec, context.platform, context.env);
    return { spec, folder, path: join(folder, spec.name), label: `[${index + 1}/${absent.length}] ${spec.name}` };
  });
  if (missing.length > 0) await buildAll(await downloadAll(missing, context), context);
  for (const { spec, path } of missing) paths.set(spec.name, path);
  return paths;
}

async function findPresent(spec: BinarySpec, { env, platform, progress }: Context): Promise<string | undefined> {
  const assets = env['KUBEBUILDER_ASSETS'];
  const given = assets ? await givenAsset(spec, assets, progress) : undefined;
  if (given !== undefined) return given;
  const cached = join(cacheFolder(spec, platform, env), spec.name);
  return (await isExecutable(cached)) ? cached : undefined;
}

/** Downloads what can be downloaded and returns what is still missing. A host that failed once is not asked again. */
async function downloadAll(missing: readonly Missing[], context: Context): Promise<Missing[]> {
  const unreachable = new Set<string>();
  const left: Missing[] = [];
  for (const item of missing) {
    const { download } = item.spec;
    const url = download?.sha256[platformName(context.platform)] && download.url(context.platform);
    if (!download || !url || unreachable.has(new URL(url).host)) {
      left.push(item);
      continue;
    }
    try {
      await makeUnderLock(item, context, async (draft) => {
        context.progress(`${item.label}: downloading ${url}`);
        await downloadBinary(download, draft, { ...context, label: item.label });
      });
    } catch (error) {
      context.signal?.throwIfAborted();
      if (!(error instanceof ChecksumError)) unreachable.add(new URL(url).host);
      context.progress(`${item.label}: not downloaded: ${reason(error)}`);
      left.push(item);
    }
  }
  return left;
}

async function buildAll(missing: readonly Missing[], context: Context): Promise<void> {
  if (missing.length === 0) return;
  const { progress, env } = context;
  await requireBuildTools(
    missing.map(({ spec }) => spec),
    env,
  );
  const estimates = await estimateBuilds(missing);
  const total = [...estimates.values()].reduce((sum, seconds) => sum + seconds, 0);
  const names = missing.map(({ spec }) => spec.name).join(', ');
  progress(
    `Building ${names} from source, which happens once: ${formatEstimate(total)} on two cores` +
      ' (less when Go has compiled them before, more while it fetches their modules).',
  );
  for (const item of missing) {
    const estimate = estimates.get(item) ?? 0;
    const startedAt = performance.now();
    const built = await makeUnderLock(item, context, (draft) =>
      buildBinary(item.spec, draft, { ...context, label: item.label, estimate }),
    );
    const seconds = formatSeconds((performance.now() - startedAt) / 1000);
    progress(`${item.label}: ${built ? `built in ${seconds}` : 'another process built it'}`);
  }
}

/** The first program of an upstream compiles what its others share; the estimate counts that once. */
async function estimateBuilds(missing: readonly Missing[]): Promise<Map<Missing, number>> {
  const warm = new Set<string>();
  const estimates = new Map<Missing, number>();
  for (const item of missing) {
    const isWarm = warm.has(item.folder) || (await hasPrograms(item.folder));
    estimates.set(item, item.spec.build.seconds[isWarm ? 'warm' : 'cold']);
    warm.add(item.folder);
  }
  return estimates;
}

/** Makes the program unless somebody else did meanwhile; says whether it was made here. */
async function makeUnderLock(
  { folder, path, label }: Missing,
  { signal, progress }: Context,
  make: (draft: string) => Promise<void>,
): Promise<boolean> {
  await mkdir(folder, { recursive: true });
  const onWait = ({ pid }: { readonly pid: number }): void =>
    progress(`${label}: process ${pid} is fetching or building programs of this upstream; waiting for it`);
  return withBuildLock(join(folder, '.lock'), { onWait, ...(signal && { signal }) }, async () => {
    if (await isExecutable(path)) return false;
    await removeDrafts(folder);
    await addToCache(path, make);
    return true;
  });
}

/** The innermost cause says what happened; undici wraps it in a sentence that says nothing. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? reason(error.cause) : error.message || error.name;
}
