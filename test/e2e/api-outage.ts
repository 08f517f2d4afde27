/** Takes the API server of a lab away for a while. */
import { readFile } from 'node:fs/promises';
import { isRunning, type ProcessIdentity, signalProcess } from '#test/control-plane/process-identity';
import { startDaemon } from '#test/lab/daemon';
import type { Lab } from '#test/lab/lab';
import { waitFor } from '#test/lab/wait';

const PART = 'kube-apiserver';

/** API servers that were started here, in place of the lab's own. */
const restarted = new WeakMap<Lab, ProcessIdentity>();

/** Kills the API server, runs `meanwhile`, and starts it again as it was; resolves when it is ready. */
export async function withoutApiServer(lab: Lab, meanwhile: () => Promise<void>): Promise<void> {
  const identity = restarted.get(lab) ?? lab.state.processes.find(({ name }) => name === PART)?.process;
  if (!identity) throw new Error(`lab ${lab.name} has no process ${PART}`);
  const commandLine = (await readFile(`/proc/${identity.pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
  const logFile = await lab.logFile(PART);
  signalProcess(identity, 'SIGKILL');
  await waitFor({
    what: `${PART} to end`,
    timeoutMs: 30_000,
    intervalMs: 20,
    check: async () => !isRunning(identity) || undefined,
  });
  try {
    await meanwhile();
  } finally {
    // The lab does not know of this process; it ends with the lab as a member of its network namespace.
    const { command } = await lab.inside('cp', commandLine);
    restarted.set(lab, await startDaemon({ command, logFile }));
  }
  await waitFor({
    what: `${PART} to be ready again`,
    timeoutMs: 60_000,
    log: logFile,
    check: () => lab.kubectl(['get', '--raw', '/readyz', '--request-timeout=1s']),
  });
}
