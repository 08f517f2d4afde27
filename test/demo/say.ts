/** What the demo writes: headings, the commands a person could type, and their output. */
const colour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;

function paint(code: number, text: string): string {
  return colour ? `\u001B[${code}m${text}\u001B[0m` : text;
}

/** A new part of the story. */
export function heading(text: string): void {
  process.stdout.write(`\n${paint(1, `== ${text}`)}\n`);
}

export function line(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A command as a person would type it. */
export function command(text: string): void {
  line(paint(36, `$ ${text}`));
}

/** What a command printed, set in. */
export function output(text: string): void {
  for (const each of text.trimEnd().split('\n')) line(`  ${each}`);
}

export function success(text: string): void {
  line(paint(32, `✓ ${text}`));
}

export function failure(text: string): void {
  process.stderr.write(`${paint(31, `✗ ${text}`)}\n`);
}
