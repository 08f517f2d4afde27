import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteCutter } from '#test/chaos/byte-cutter';
import type { Cut } from '#test/chaos/fault';

/** What passes of a text that comes in chunks of the given sizes. */
function passed(text: string, cut: Pick<Cut, 'afterBytes' | 'from'>, sizes: readonly number[] = []): string {
  const cutter = new ByteCutter(cut);
  const bytes = Buffer.from(text);
  const out: Buffer[] = [];
  let start = 0;
  for (const size of [...sizes, bytes.length]) {
    if (cutter.isDue) break;
    out.push(cutter.take(bytes.subarray(start, start + size)));
    start += size;
  }
  return Buffer.concat(out).toString('latin1');
}

describe('ByteCutter', () => {
  it('lets as many bytes pass as it was told', () => {
    expect(passed('0123456789', { afterBytes: 4 })).toBe('0123');
    expect(passed('0123456789', { afterBytes: 0 })).toBe('');
    expect(passed('0123456789', { afterBytes: 99 })).toBe('0123456789');
  });

  it('counts from behind a marker', () => {
    expect(passed('aa-name-bb', { afterBytes: 1, from: 'name' })).toBe('aa-name-');
    expect(passed('aa-name-bb', { afterBytes: 0, from: 'name' })).toBe('aa-name');
    expect(passed('aa-name-bb', { afterBytes: 0, from: 'absent' })).toBe('aa-name-bb');
  });

  it('cuts at the same byte however the stream comes in chunks', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 5 }));
    fc.assert(
      fc.property(fc.nat({ max: 12 }), fc.constantFrom('', 'bab', 'ü'), sizes, (afterBytes, from, chunks) => {
        const text = 'ababaababüü-the rest';
        expect(passed(text, { afterBytes, from }, chunks)).toBe(passed(text, { afterBytes, from }));
      }),
    );
  });
});
