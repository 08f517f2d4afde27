import { Option, type Command } from 'commander';
import { CORE_OPTIONS, type OptionGroup } from '../config/core-options.ts';
import { CONFIG_OPTION, type Raw } from '../config/sources.ts';
import type { OptionSpec } from '../loadbalancer/options.ts';
import type { ProviderSettings } from '../config/settings.ts';

/** Adds a flag for each option of these groups, for the options of every provider, and `--config`. */
export function addConfigFlags(
  command: Command,
  groups: readonly OptionGroup[],
  providers: readonly ProviderSettings[],
): void {
  for (const group of groups) {
    for (const option of CORE_OPTIONS.filter((one) => one.group === group)) {
      command.addOption(flagOf(option).helpGroup(`${group}:`));
    }
  }
  for (const { name, options } of providers) {
    for (const option of options) command.addOption(flagOf(option).helpGroup(`Provider ${name}:`));
  }
  command.addOption(flagOf(CONFIG_OPTION).helpGroup('Other:'));
  command.addHelpOption(new Option('-h, --help', 'Shows this.').helpGroup('Other:'));
}

/** No default goes to commander: a flag that was not given leaves room for environment and file. */
function flagOf(option: OptionSpec): Option {
  const value = option.type === 'boolean' ? '[true|false]' : `<${option.type}>`;
  const flag = new Option(`--${option.name} ${value}`, describe(option));
  if (option.type === 'boolean') flag.preset('true');
  if (option.type === 'list')
    flag.argParser((entry, before: readonly string[] | undefined) => [...(before ?? []), entry]);
  return flag;
}

function describe({ meaning, form, default: text }: OptionSpec): string {
  const notes = [form, ...(text === undefined ? [] : [`default: ${text}`])];
  return `${meaning} (${notes.join('; ')})`.replaceAll('`', '');
}

/** The configuration flags that were given, by option name. */
export function givenFlags(command: Command, providers: readonly ProviderSettings[]): Readonly<Record<string, Raw>> {
  const known = [...CORE_OPTIONS, CONFIG_OPTION, ...providers.flatMap(({ options }) => options)];
  const flags: Record<string, Raw> = {};
  for (const option of command.options) {
    const name = option.long?.slice(2) ?? '';
    const value: unknown = command.getOptionValue(option.attributeName());
    if (!known.some((one) => one.name === name)) continue;
    if (typeof value === 'string') flags[name] = value;
    if (Array.isArray(value)) flags[name] = value.map(String);
  }
  return flags;
}
