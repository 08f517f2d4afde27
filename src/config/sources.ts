/** Gathers what was set, and where: flag before environment before file before default. */
import { BallastError } from '../errors.ts';
import { nearest } from '../loadbalancer/nearest.ts';
import type { OptionSpec } from '../loadbalancer/options.ts';
import { environmentVariable } from './core-options.ts';

/** A value as written: one text, or the entries of a list. */
export type Raw = string | readonly string[];

export interface SetValue {
  readonly raw: Raw;
  /** Names value and place, to begin a message: `--workers many`, `BALLAST_WORKERS=many`, `workers: many in x.yaml`. */
  readonly origin: string;
  readonly source: 'flag' | 'environment' | 'file' | 'default';
}

export interface Sources {
  /** Given flags by option name, without the dashes. */
  readonly flags: Readonly<Record<string, Raw>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The configuration file, parsed. */
  readonly file: ConfigFile | undefined;
}

export interface ConfigFile {
  readonly path: string;
  readonly content: unknown;
}

/** The option that names the configuration file; it cannot stand in that file. */
export const CONFIG_OPTION: OptionSpec = {
  name: 'config',
  type: 'text',
  form: 'the path of a YAML file',
  meaning: 'A file with options: `<name without dashes>: <value>`, one a line. Flags and environment come before it.',
};

/** Variables under our prefix that belong to the tools of the repository, not to the controller. */
const TOOL_VARIABLES: ReadonlySet<string> = new Set(['BALLAST_CACHE', 'BALLAST_LAB_ROOT']);

/**
 * What kubelet sets in every pod for each Service of the namespace whose name begins with `ballast`
 * (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
 */
const SERVICE_LINK =
  /^BALLAST_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/**
 * Every option that was set or has a default, by name. The second value lists what is wrong: unknown names, each with
 * the nearest known one, and values of a shape that no option has.
 */
export function gather(
  options: readonly OptionSpec[],
  sources: Sources,
): { readonly values: ReadonlyMap<string, SetValue>; readonly problems: readonly string[] } {
  const { values: fromFile, problems: fileProblems } = readFileValues(options, sources.file);
  const values = new Map<string, SetValue>();
  for (const option of options) {
    const value = fromFlag(option, sources) ?? fromEnvironment(option, sources) ?? fromFile.get(option.name);
    if (value !== undefined) values.set(option.name, value);
    else if (option.default !== undefined) {
      const origin = `the default of --${option.name}, ${option.default},`;
      values.set(option.name, { raw: option.default, origin, source: 'default' });
    }
  }
  return { values, problems: [...unknownVariables(options, sources.env), ...fileProblems] };
}

function fromFlag({ name }: OptionSpec, { flags }: Sources): SetValue | undefined {
  const raw = flags[name];
  return raw === undefined ? undefined : { raw, origin: `--${name} ${display(raw)}`, source: 'flag' };
}

/** An empty variable counts as none: that is how manifests and shells switch one off. */
function fromEnvironment({ name }: OptionSpec, { env }: Sources): SetValue | undefined {
  const variable = environmentVariable(name);
  const raw = env[variable];
  return raw ? { raw, origin: `${variable}=${raw}`, source: 'environment' } : undefined;
}

function unknownVariables(options: readonly OptionSpec[], env: Sources['env']): readonly string[] {
  const known = [...options, CONFIG_OPTION].map(({ name }) => environmentVariable(name));
  return Object.keys(env)
    .filter((name) => name.startsWith('BALLAST_') && !known.includes(name))
    .filter((name) => !TOOL_VARIABLES.has(name) && !SERVICE_LINK.test(name))
    .toSorted()
    .map((name) => `The environment variable ${name} means nothing${suggestion(name, known)}`);
}

function readFileValues(
  options: readonly OptionSpec[],
  file: ConfigFile | undefined,
): { readonly values: ReadonlyMap<string, SetValue>; readonly problems: readonly string[] } {
  const values = new Map<string, SetValue>();
  const problems: string[] = [];
  if (file === undefined || file.content === null || file.content === undefined) return { values, problems };
  if (typeof file.content !== 'object' || Array.isArray(file.content)) {
    return { values, problems: [`${file.path} must hold lines of the form \`<option>: <value>\`.`] };
  }
  const names = options.map(({ name }) => name);
  for (const [key, value] of Object.entries(file.content)) {
    const raw = rawOf(value);
    if (!names.includes(key)) problems.push(`The key ${key} in ${file.path} means nothing${suggestion(key, names)}`);
    else if (raw === undefined) {
      problems.push(`The key ${key} in ${file.path} must have a text, a number, true or false, or a list of these.`);
    } else values.set(key, { raw, origin: `${key}: ${display(raw)} in ${file.path}`, source: 'file' });
  }
  return { values, problems };
}

/** YAML's numbers and booleans as the text a flag would have. */
function rawOf(value: unknown): Raw | undefined {
  if (!Array.isArray(value)) return scalarOf(value);
  const entries = value.map(scalarOf);
  return entries.every((entry) => entry !== undefined) ? entries : undefined;
}

function scalarOf(value: unknown): string | undefined {
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined;
}

/** The end of a sentence about an unknown name. */
export function suggestion(name: string, known: readonly string[]): string {
  const meant = nearest(name, known);
  return meant === undefined ? '.' : `; did you mean ${meant}?`;
}

function display(raw: Raw): string {
  return typeof raw === 'string' ? raw : raw.join(',');
}

/** Reads a YAML file. @throws BallastError `InvalidConfig` that says what is wrong with it, and in which line. */
export async function parseConfigFile(path: string, text: string): Promise<ConfigFile> {
  // Loaded only when there is a file: most runs have none.
  const { parseDocument } = await import('yaml');
  try {
    // What the reader would only warn of, to the process, is as wrong here: it means something else than it says.
    const document = parseDocument(text, { logLevel: 'error' });
    const [fault] = [...document.errors, ...document.warnings];
    if (fault) throw fault;
    return { path, content: document.toJS() };
  } catch (error) {
    // Not only its own errors: an alias of nothing, or too many of them, is a ReferenceError.
    const { message } = error instanceof Error ? error : { message: String(error) };
    const [line = message] = message.split('\n');
    throw new BallastError('InvalidConfig', `${path} is no YAML: ${line.replace(/:$/, '')}.`, { cause: error });
  }
}
