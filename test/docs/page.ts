/** Pages with generated parts: each stands between `<!-- generated: name -->` and `<!-- end -->`. */

const PART = /<!-- generated: ([\w-]+) -->\n[\s\S]*?<!-- end -->/g;

/** The page with every generated part replaced. Throws when page and parts do not name the same ones. */
export function fill(page: string, parts: Readonly<Record<string, string>>): string {
  const names = [...page.matchAll(PART)].map(([, name]) => name ?? '');
  const missing = Object.keys(parts).filter((name) => !names.includes(name));
  if (missing.length > 0) throw new Error(`the page has no place for ${missing.join(', ')}`);
  return page.replaceAll(PART, (_, name: string) => {
    const part = parts[name];
    if (part === undefined) throw new Error(`nothing generates ${name}`);
    return `<!-- generated: ${name} -->\n\n${part}\n\n<!-- end -->`;
  });
}

/** The first cells, without backticks, of the table's rows below a heading (until the next heading). */
export function firstColumn(page: string, heading: string): readonly string[] {
  const start = page.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`the page has no heading ${heading}`);
  const [section = ''] = page.slice(start + heading.length + 2).split(/\n#+ /);
  return section
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) => (line.split('|')[1] ?? '').trim().replaceAll('`', ''));
}
