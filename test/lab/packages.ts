import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProgressLine } from '../control-plane/progress.ts';
import { LabError } from './errors.ts';
import { run } from './run.ts';
import { programFolders } from './system-path.ts';

/** Something of the operating system that the lab uses, and the Debian package that has it. */
export interface Needed {
  readonly package: string;
  /** Programs looked for in PATH and in the system folders; a path with a slash is looked for as it stands. */
  readonly programs: readonly string[];
}

/** What a lab needs while it runs. */
const RUNTIME: readonly Needed[] = [
  { package: 'iproute2', programs: ['ip'] },
  { package: 'nftables', programs: ['nft'] },
  { package: 'iptables', programs: ['iptables', 'ip6tables', 'iptables-restore'] },
  { package: 'conntrack', programs: ['conntrack'] },
  { package: 'util-linux', programs: ['nsenter', 'unshare'] },
  { package: 'mount', programs: ['mount', 'umount'] },
  { package: 'procps', programs: ['sysctl'] },
  { package: 'openssl', programs: ['openssl'] },
  { package: 'bash', programs: ['bash'] },
  { package: 'busybox-static', programs: ['/bin/busybox', '/usr/bin/busybox'] },
  { package: 'curl', programs: ['curl'] },
  { package: 'binutils', programs: ['strip'] },
  { package: 'iputils-ping', programs: ['ping'] },
];

/** What building runc and pause needs on top of Go. */
const BUILD: readonly Needed[] = [
  { package: 'gcc', programs: ['cc'] },
  { package: 'pkg-config', programs: ['pkg-config'] },
  {
    package: 'libseccomp-dev',
    programs: ['x86_64', 'aarch64'].map((machine) => `/usr/lib/${machine}-linux-gnu/libseccomp.a`),
  },
];

const APT_TIMEOUT_MS = 300_000;

export interface PackageOptions {
  readonly progress: ProgressLine;
  readonly signal?: AbortSignal | undefined;
}

/** What a lab needs to run; with `build`, also what it needs to build its programs. */
export function labPackages({ build }: { readonly build: boolean }): readonly Needed[] {
  return build ? [...RUNTIME, ...BUILD] : RUNTIME;
}

/**
 * Installs with apt-get what is missing of the operating system, and says so. Where there is no apt-get, an error
 * names the Debian packages, whose names other systems' resemble.
 */
export async function ensurePackages(needed: readonly Needed[], { progress, signal }: PackageOptions): Promise<void> {
  const missing = await missingPackages(needed);
  if (missing.length === 0) return;
  const names = missing.join(' ');
  if (!(await findProgram('apt-get'))) {
    throw new LabError(`This machine lacks programs of the Debian packages ${names}, and has no apt-get: install them`);
  }
  if (process.getuid?.() !== 0) throw new LabError(`Run \`apt-get install ${names}\` as root first`);
  const options = { timeoutMs: APT_TIMEOUT_MS, signal, env: { DEBIAN_FRONTEND: 'noninteractive' } };
  progress(`Installing Debian packages: ${names}`);
  await run(['apt-get', 'update', '-q'], options);
  await run(['apt-get', 'install', '-q', '-y', '--no-install-recommends', ...missing], options);
}

/** The Debian packages whose programs this machine lacks. */
async function missingPackages(needed: readonly Needed[]): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const each of needed) if (!(await isThere(each))) missing.push(each.package);
  return missing;
}

/** A row with paths is there when one of them is; a row with names when all of them are. */
async function isThere({ programs }: Needed): Promise<boolean> {
  const found = await Promise.all(programs.map((program) => findProgram(program)));
  return programs.some((program) => program.includes('/')) ? found.some(Boolean) : found.every(Boolean);
}

/** The path of a program, also where PATH lacks the system folders. */
export async function findProgram(program: string): Promise<string | undefined> {
  const candidates = program.includes('/') ? [program] : programFolders().map((folder) => join(folder, program));
  for (const candidate of candidates) {
    try {
      await access(candidate, program.includes('/') ? constants.R_OK : constants.X_OK);
      return candidate;
    } catch {
      // Not here; the next folder may have it.
    }
  }
  return undefined;
}
