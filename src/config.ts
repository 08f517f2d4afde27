import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { CORE_OPTIONS, environmentVariable } from './config/core-options.ts';
import { configSchema, WRONG_FORM } from './config/schema.ts';
import type { Config, ProviderSettings } from './config/settings.ts';
import { CONFIG_OPTION, gather, parseConfigFile, type ConfigFile, type Raw, type SetValue } from './config/sources.ts';
import { BallastError } from './errors.ts';
import type { OptionSpec } from './loadbalancer/options.ts';

export interface ConfigInput {
  /** Flags that were given, by option name without dashes; lists once per flag. */
  readonly flags: Readonly<Record<string, Raw>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Every provider that there is. */
  readonly providers: readonly ProviderSettings[];
}

export interface LoadedConfig {
  readonly config: Config;
  /** Option name → value and where it came from, for the log; defaults included. */
  readonly effective: Readonly<Record<string, { readonly value: Raw; readonly from: SetValue['source'] }>>;
  /** `BALLAST_WORKERS=many`, for a message about a value of this option; undefined when it has none. */
  readonly originOf: (option: string) => string | undefined;
}

/**
 * Reads the configuration: flag before environment before file before default.
 * @throws BallastError `InvalidConfig` with a line for everything that is wrong: where it was set and what is allowed.
 */
export async function loadConfig({ flags, env, providers }: ConfigInput): Promise<LoadedConfig> {
  const options = [...CORE_OPTIONS, ...providers.flatMap((provider) => provider.options)];
  const file = await readConfigFile(flags, env);
  const { values, problems } = gather(options, { flags, env, file });
  const written = Object.fromEntries([...values].map(([name, { raw }]) => [name, raw]));
  const result = configSchema(options, providers).safeParse(written);
  const complaints = result.success ? [] : result.error.issues.map((issue) => complaint(issue, options, values));
  const lines = [...problems, ...complaints.map(({ line }) => line)];
  if (!result.success || lines.length > 0) {
    const [first] = complaints;
    throw new BallastError(
      'InvalidConfig',
      lines.join('\n'),
      first?.option === undefined ? {} : { field: first.option },
    );
  }
  return {
    config: result.data,
    effective: Object.fromEntries([...values].map(([name, { raw, source }]) => [name, { value: raw, from: source }])),
    originOf: (option) => values.get(option)?.origin,
  };
}

async function readConfigFile(flags: ConfigInput['flags'], env: ConfigInput['env']): Promise<ConfigFile | undefined> {
  const flag = flags[CONFIG_OPTION.name];
  const path = flag === undefined ? env[environmentVariable(CONFIG_OPTION.name)] : String(flag);
  if (!path) return undefined;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const origin = flag === undefined ? environmentVariable(CONFIG_OPTION.name) : `--${CONFIG_OPTION.name}`;
    throw new BallastError('InvalidConfig', `${origin} names a file that cannot be read: ${reason}.`, { cause: error });
  }
  return parseConfigFile(path, text);
}

function complaint(
  issue: z.core.$ZodIssue,
  options: readonly OptionSpec[],
  values: ReadonlyMap<string, SetValue>,
): { readonly option: string | undefined; readonly line: string } {
  const name = String(issue.path[0] ?? '');
  const option = options.find((candidate) => candidate.name === name);
  const origin = values.get(name)?.origin ?? `--${name}`;
  const what = issue.message === WRONG_FORM ? `must be ${option?.form ?? 'something else'}` : issue.message;
  return { option: option?.name, line: `${origin} ${what}.` };
}
