import type { Explanation } from '../inquiry/inquiry.ts';

const MARKS = { yes: '✓', no: '✗', info: '·' } as const;

/** The decisions, a line each, with an arrow at the first one that says no; then the verdict. */
export function explanationText({ service, decisions }: Explanation): string {
  const first = decisions.findIndex(({ verdict }) => verdict === 'no');
  const width = Math.max(0, ...decisions.map(({ subject }) => subject.length));
  const lines = decisions.map(({ subject, verdict, text }, index) => {
    const pointer = index === first ? '→' : ' ';
    return `${pointer} ${MARKS[verdict]} ${subject.padEnd(width)}  ${text}`;
  });
  const culprit = decisions[first];
  const verdict = culprit ? `Look at “${culprit.subject}” first: ${culprit.text}` : 'Every decision says yes.';
  return [`Service ${service}`, ...lines, '', verdict, ''].join('\n');
}
