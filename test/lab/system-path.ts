import { delimiter } from 'node:path';

/** Where administrators' programs lie; not every root shell has them in its PATH. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'] as const;

/** The folders that programs are looked for in: those of PATH, then the system's. */
export function programFolders(): readonly string[] {
  return [...new Set([...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean), ...SYSTEM_FOLDERS])];
}

/** This process's environment with every program folder in PATH, and more on top. */
export function programEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { ...process.env, PATH: programFolders().join(delimiter), ...more };
}
