/** The figures as a table for people. */
import type { Summary } from './measure.ts';

const HEADINGS = ['scenario', 'figure', 'median', 'best', 'target', 'met', 'beside (its value, ours : its)'] as const;

/** One line a figure, columns aligned. */
export function table(summaries: readonly Summary[]): string {
  const rows = [HEADINGS, ...summaries.map(row)];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((cells) => (cells[column] ?? '').length)));
  return rows
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function row({
  scenario,
  figure,
  unit,
  values,
  best,
  median,
  atMost,
  atLeast,
  met,
  beside = [],
}: Summary): readonly string[] {
  const withUnit = (value: number): string => `${number(value)}${unit === '' ? '' : ` ${unit}`}`;
  const besides = beside.map(({ who, value }) => `${who} ${withUnit(value)} (${number(median / value)})`);
  return [
    scenario,
    figure,
    withUnit(median),
    values.length > 1 ? withUnit(best) : '',
    atMost !== undefined ? `≤ ${withUnit(atMost)}` : atLeast !== undefined ? `≥ ${withUnit(atLeast)}` : '',
    met === undefined ? '' : met ? 'yes' : 'NO',
    besides.join('; '),
  ];
}

/** Three digits that count; whole numbers from 100 on. */
function number(value: number): string {
  if (!Number.isFinite(value)) return '-';
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
