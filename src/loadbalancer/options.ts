/**
 * What can be set from outside (flag, environment variable, file key), as data. The controller's own options and
 * those of each provider are tables of this type; help, validation and the reference page come from them.
 */

/**
 * How a value is written: `text` as it is; `boolean` as `true` or `false`; `integer` in decimal digits; `duration` as
 * `10s`, `5m`, `300ms`, `1h30m`; `list` as entries between separators.
 */
export type OptionType = 'text' | 'boolean' | 'integer' | 'duration' | 'list';

/** A value as its table's type says: durations are milliseconds. */
export type OptionValue = string | boolean | number | readonly string[];

/** Values by option name; an option that has neither value nor default is absent. */
export type OptionValues = Readonly<Record<string, OptionValue | undefined>>;

export interface OptionSpec {
  /** Kebab case, as in the flag `--<name>`; a provider's options begin with the provider's name. */
  readonly name: string;
  readonly type: OptionType;
  /** As a person would write it; left out where nothing is the default. */
  readonly default?: string;
  /** What a value looks like, to complete "must be …": `a whole number from 1 to 64`. */
  readonly form: string;
  /** What it does, in a sentence or two, for help and the reference page. */
  readonly meaning: string;
  /** Smallest `integer`, or `duration` in milliseconds. */
  readonly least?: number;
  /** Largest `integer`, or `duration` in milliseconds. */
  readonly most?: number;
  /** The only texts, or list entries, that are allowed. */
  readonly choices?: readonly string[];
  /** What stands between the entries of a `list`; a comma by default. */
  readonly separator?: ',' | ';';
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * Reads a duration as Go and kubectl write it (`300ms`, `10s`, `1h30m`, `1.5s`; `0` needs no unit) and gives whole
 * milliseconds; undefined when it is none.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(\d{1,9}(\.\d{1,3})?(ms|s|m|h))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  return Math.round(parts.reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (UNIT_MS[unit] ?? 0), 0));
}

/** Writes milliseconds as `parseDuration` reads them, in the largest units that are whole. */
export function formatDuration(milliseconds: number): string {
  let rest = milliseconds;
  let text = '';
  for (const [unit, size] of Object.entries(UNIT_MS).toReversed()) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text || '0s';
}
