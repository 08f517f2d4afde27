/** HAProxy in TCP mode on a machine of a lab, set up for the same work as Ballast's proxy. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LabMachine } from '#test/lab/machine';
import type { LabProcess } from '#test/lab/lab-process';
import { waitFor } from '#test/lab/wait';

/** A port it listens on, and where its connections go in turn, as ours do. */
export interface HaproxyPort {
  readonly port: number;
  readonly targets: readonly { readonly host: string; readonly port: number }[];
}

export interface HaproxyOptions {
  /** Folder for its configuration. */
  readonly folder: string;
  /** Where it listens; an address of the machine. */
  readonly address: string;
  readonly ports: readonly HaproxyPort[];
}

/** Starts Debian's HAProxy; resolves when it listens. */
export async function startHaproxy(machine: LabMachine, options: HaproxyOptions): Promise<LabProcess> {
  const file = join(options.folder, 'haproxy.cfg');
  await writeFile(file, configuration(options));
  const process = await machine.spawn('haproxy', ['-db', '-f', file], { name: 'haproxy' });
  for (const { port } of options.ports) {
    await waitFor({
      what: `HAProxy to listen on port ${port}`,
      timeoutMs: 10_000,
      log: process.logFile,
      check: () => machine.exec(['bash', '-c', `: </dev/tcp/${options.address}/${port}`]),
    });
  }
  return process;
}

/** Its own defaults but for splicing, which its manual advises for TCP; it takes a thread for each processor. */
function configuration({ address, ports }: HaproxyOptions): string {
  const sections = ports.map(({ port, targets }) => [
    `listen port-${port}`,
    `  bind ${address}:${port}`,
    '  balance roundrobin',
    ...targets.map((target, index) => `  server target-${index} ${target.host}:${target.port}`),
  ]);
  return [
    'defaults',
    '  mode tcp',
    '  option splice-auto',
    '  retries 3',
    '  option redispatch',
    '  timeout connect 2s',
    '  timeout client 60s',
    '  timeout server 60s',
    ...sections.flat(),
    '',
  ].join('\n');
}
