/** Runs what a page of the documentation tells its reader to type, in a lab's cluster. */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { run } from './run.ts';
import type { Lab } from './lab.ts';

const TIMEOUT_MS = 120_000;

/** Of one page, which every call names anew: what a reader would have in the same shell is in `variables`. */
export interface PageCommands {
  /** The page's path in the repository. */
  readonly page: string;
  /** The first block of commands behind this text is run. */
  readonly after: string;
  /** Where the commands find and leave files. */
  readonly folder: string;
  readonly variables?: Readonly<Record<string, string>>;
}

/** The first block of commands behind a text of a page; throws when there is none. */
export function commandsOf(text: string, after: string): string {
  const begin = text.indexOf(after);
  const block = begin < 0 ? undefined : /^```(?:sh)?\n(.*?)^```$/ms.exec(text.slice(begin))?.[1];
  if (block === undefined) throw new Error(`the page has no commands behind “${after}”`);
  return block;
}

/** Runs them with the lab's kubectl; gives what they print, and throws when one of them fails. */
export async function runPageCommands(lab: Lab, { page, after, folder, variables }: PageCommands): Promise<string> {
  const text = await readFile(new URL(`../../${page}`, import.meta.url), 'utf8');
  const program = lab.state.binaries['kubectl'] ?? 'kubectl';
  const script = ['set -e', `PATH="${dirname(program)}:$PATH"`, commandsOf(text, after)].join('\n');
  const env = { ...variables, KUBECONFIG: lab.kubeconfigPath };
  const { stdout } = await run(['sh', '-c', script], { env, directory: folder, timeoutMs: TIMEOUT_MS });
  return stdout;
}
