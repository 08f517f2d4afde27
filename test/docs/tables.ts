/** The tables of `docs/reference.md` that follow from tables in the code. */
import type { Command } from 'commander';
import type { Registry } from 'prom-client';
import { EXIT } from '#src/cli/exit-codes';
import { CORE_OPTIONS, OPTION_GROUPS, environmentVariable } from '#src/config/core-options';
import { CONFIG_OPTION } from '#src/config/sources';
import { ERRORS, errorRow, type ErrorCode } from '#src/errors';
import { SETTINGS } from '#src/loadbalancer/annotations';
import type { ProviderDefinition } from '#src/loadbalancer/definition';
import type { OptionSpec } from '#src/loadbalancer/options';

type Row = readonly string[];

/** A Markdown table; a bar inside a cell would end it. */
export function table(head: Row, rows: readonly Row[]): string {
  const line = (cells: Row): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function optionRow(option: OptionSpec): Row {
  return [
    `\`--${option.name}\``,
    `\`${environmentVariable(option.name)}\``,
    option.default === undefined ? '' : `\`${option.default}\``,
    `${option.meaning} Must be ${option.form}.`,
  ];
}

const OPTION_HEAD = ['flag', 'environment', 'default', 'meaning'];

export function optionTables(providers: Readonly<Record<string, ProviderDefinition>>): string {
  const sections = [
    ...OPTION_GROUPS.map((group) => ({ title: group, options: CORE_OPTIONS.filter((one) => one.group === group) })),
    ...Object.entries(providers).map(([name, { options }]) => ({ title: `Provider ${name}`, options })),
    { title: 'Configuration file', options: [CONFIG_OPTION] },
  ];
  return sections
    .map(({ title, options }) => `### ${title}\n\n${table(OPTION_HEAD, options.map(optionRow))}`)
    .join('\n\n');
}

/** The flags that are no options of the configuration, with the commands that take them. */
export function commandFlagTable(program: Command): string {
  const commands = new Map<string, string[]>();
  const meanings = new Map<string, string>();
  for (const command of program.commands) {
    for (const { flags, description, helpGroupHeading } of command.options) {
      if (helpGroupHeading !== undefined) continue;
      commands.set(flags, [...(commands.get(flags) ?? []), command.name()]);
      meanings.set(flags, description);
    }
  }
  return table(
    ['flag', 'of', 'meaning'],
    [...commands].map(([flags, names]) => [`\`${flags}\``, names.join(', '), meanings.get(flags) ?? '']),
  );
}

export function exitCodeTable(): string {
  return table(
    ['code', 'meaning'],
    Object.values(EXIT).map(({ code, meaning }) => [String(code), meaning]),
  );
}

export function providerTable(providers: Readonly<Record<string, ProviderDefinition>>): string {
  return table(
    ['provider', '`loadBalancerClass`'],
    Object.entries(providers).map(([name, { loadBalancerClass }]) => [`\`${name}\``, `\`${loadBalancerClass}\``]),
  );
}

export function errorTable(): string {
  const codes = Object.keys(ERRORS).filter((code): code is ErrorCode => code in ERRORS);
  return table(
    ['code', 'kind', 'what happened', 'what to do'],
    codes.map((code) => {
      const { kind, meaning, remedy } = errorRow(code);
      return [`\`${code}\``, kind, meaning, remedy];
    }),
  );
}

export function settingTable(): string {
  return table(
    ['annotation', 'value', 'meaning'],
    Object.values(SETTINGS).map(({ annotation, form, meaning }) => [`\`${annotation}\``, form, meaning]),
  );
}

/** All but the metrics of the process itself, which every Node program has. */
export async function metricTable(registry: Registry): Promise<string> {
  const metrics = await registry.getMetricsAsJSON();
  const own = metrics
    .filter(({ name }) => !/^(process|nodejs)_/.test(name))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return table(
    ['metric', 'type', 'labels', 'meaning'],
    own.map(({ name, type, help }) => [`\`${name}\``, String(type), labelsOf(registry, name), help]),
  );
}

function labelsOf(registry: Registry, name: string): string {
  const metric: object | undefined = registry.getSingleMetric(name);
  const labels: unknown = metric && 'labelNames' in metric ? metric.labelNames : [];
  return Array.isArray(labels) ? labels.map((label) => `\`${label}\``).join(', ') : '';
}
