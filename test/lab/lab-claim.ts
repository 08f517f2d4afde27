import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { withBuildLock } from '../control-plane/build-lock.ts';
import { isRunning, ownIdentity } from '../control-plane/process-identity.ts';
import { clearLab } from './clear.ts';
import { LabDirectory, labRoot } from './directory.ts';
import { LabError } from './errors.ts';
import type { ResolvedOptions } from './options.ts';
import type { Provisions } from './provide.ts';
import { type LabState, LabStore, readState } from './state.ts';

/**
 * Takes the name of a lab for this process: refuses when it is in use, clears what a killed run left of it, and notes
 * who has it now, before anything of the lab exists.
 */
export async function claimLab(options: ResolvedOptions, provisions: Provisions): Promise<LabStore> {
  const { name, replace, progress, signal } = options;
  await mkdir(labRoot(), { recursive: true });
  const onWait = ({ pid }: { readonly pid: number }): void =>
    progress(`Process ${pid} is looking at lab ${name} as well`);
  return withBuildLock(join(labRoot(), `.${name}.lock`), { onWait, ...(signal && { signal }) }, async () => {
    const previous = await readState(name);
    refuseIfUsed(previous, replace);
    if (previous) progress(`Clearing what is left of lab ${name} of ${previous.startedAt}`);
    await clearLab(name);
    const directory = new LabDirectory(name);
    await directory.create();
    const store = new LabStore(freshState(options, provisions));
    await store.update((state) => state);
    return store;
  });
}

/** A lab is in use while its owner lives, and without an owner while its relay does. */
function refuseIfUsed(state: LabState | undefined, replace: boolean): void {
  if (!state) return;
  if (state.owner && isRunning(state.owner)) {
    throw new LabError(
      `Lab ${state.name} belongs to process ${state.owner.pid}, which still runs: end it, or choose another name`,
    );
  }
  const alive = state.processes.some(({ process: identity }) => isRunning(identity));
  if (state.phase === 'up' && !state.owner && alive && !replace) {
    throw new LabError(
      `Lab ${state.name} is up since ${state.startedAt}: take it down, ask for it to be replaced, or choose another name`,
    );
  }
}

function freshState(options: ResolvedOptions, { binaries, images }: Provisions): LabState {
  return {
    name: options.name,
    phase: 'starting',
    owner: ownIdentity(),
    startedAt: new Date().toISOString(),
    ipFamily: options.ipFamily,
    proxyMode: options.proxyMode,
    adminToken: '',
    binaries: Object.fromEntries(binaries),
    images: [...images, ...options.images],
    nodes: [],
    machines: [],
    processes: [],
  };
}
