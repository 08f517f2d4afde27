import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const TIMEOUT_MS = 300_000;
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;

/** Runs a program to its end; resolves with its output. Throws with what it said, or with `missing` where there is none. */
export async function run(program: string, args: readonly string[], missing: string): Promise<string> {
  try {
    const options = { timeout: TIMEOUT_MS, maxBuffer: MOST_OUTPUT_BYTES };
    return (await promisify(execFile)(program, [...args], options)).stdout;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if ('code' in error && error.code === 'ENOENT') {
      throw new Error(`There is no \`${program}\`: ${missing}`, { cause: error });
    }
    const said = ['stdout', 'stderr']
      .map((stream) => Reflect.get(error, stream))
      .filter(Boolean)
      .join('\n');
    throw new Error(`\`${program} ${args.join(' ')}\` failed: ${said || error.message}`, { cause: error });
  }
}
