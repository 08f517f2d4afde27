import { join } from 'node:path';
import { resolveBinaries } from '../control-plane/binaries.ts';
import { cacheFolder, isExecutable } from '../control-plane/binary-cache.ts';
import { type BinarySpec, thisPlatform } from '../control-plane/binary-spec.ts';
import { formatSeconds, type ProgressLine } from '../control-plane/progress.ts';
import { C_BINARIES, LAB_BINARIES } from './binaries.ts';
import { buildLabImages } from './lab-images.ts';
import { ensurePackages, labPackages } from './packages.ts';
import { requireKernel, requireRootOnLinux } from './requirements.ts';

/** What has to be there before a lab can start. */
export interface Provisions {
  /** Paths of the programs by name. */
  readonly binaries: ReadonlyMap<string, string>;
  /** Archives of the images that every node has. */
  readonly images: readonly string[];
}

export interface ProvideOptions {
  readonly progress: ProgressLine;
  readonly signal?: AbortSignal | undefined;
  /** Whether every step is reported with its time, also when there was nothing to do. Default false. */
  readonly verbose?: boolean;
}

/** Gets the host's packages, the programs and the images, each only where it is missing. */
export async function provide({ progress, signal, verbose = false }: ProvideOptions): Promise<Provisions> {
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    const result = await work();
    if (verbose) progress(`${name}: ${formatSeconds((performance.now() - startedAt) / 1_000)}`);
    return result;
  };
  requireRootOnLinux();
  const build = !(await areCached(C_BINARIES));
  await step('Packages of the operating system', () => ensurePackages(labPackages({ build }), { progress, signal }));
  await step('What this kernel allows', () => requireKernel());
  const binaries = await step(`${LAB_BINARIES.length} programs`, () =>
    resolveBinaries(LAB_BINARIES, { progress, ...(signal && { signal }) }),
  );
  const images = await step('Images', () => buildLabImages(binaries));
  return { binaries, images };
}

async function areCached(specs: readonly BinarySpec[]): Promise<boolean> {
  for (const spec of specs) {
    if (!(await isExecutable(join(cacheFolder(spec, thisPlatform(), process.env), spec.name)))) return false;
  }
  return true;
}
