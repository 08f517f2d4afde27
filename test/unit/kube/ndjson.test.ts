import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonLines } from '#src/kube/ndjson';

async function* chunksOf(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

async function parse(...chunks: readonly (string | Uint8Array)[]): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const value of parseJsonLines(chunksOf(...chunks))) values.push(value);
  return values;
}

/** The bytes cut at the given places, which may coincide and so give empty chunks. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}

describe('parseJsonLines', () => {
  it('gives the same values however the bytes are cut', async () => {
    const value = fc.record({
      text: fc.string({ unit: 'binary', maxLength: 12 }),
      value: fc.jsonValue({ maxDepth: 1 }),
    });
    const lines = fc.array(value, { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(lines, fc.array(fc.nat()), fc.boolean(), async (values, places, endsWithNewline) => {
        const text = values.map((value) => JSON.stringify(value)).join('\n') + (endsWithNewline ? '\n' : '');
        const expected = values.map((value): unknown => JSON.parse(JSON.stringify(value)));
        expect(await parse(...cut(Buffer.from(text), places))).toEqual(expected);
      }),
    );
  });

  it('puts a character together that two chunks share', async () => {
    const bytes = Buffer.from('"grüße 🚢"\n');
    expect(await parse(...cut(bytes, [4, 12, 13]))).toEqual(['grüße 🚢']);
  });

  it('takes a line of megabytes in small chunks', async () => {
    const long = 'x'.repeat(3_000_000);
    const bytes = Buffer.from(`${JSON.stringify({ long })}\n{"next":1}\n`);
    const chunks = Array.from({ length: Math.ceil(bytes.length / 997) }, (_, i) =>
      bytes.subarray(i * 997, (i + 1) * 997),
    );
    expect(await parse(...chunks)).toEqual([{ long }, { next: 1 }]);
  });

  it('refuses a line that grows beyond every object', async () => {
    const values = parseJsonLines(chunksOf('{}\n', 'a'.repeat(60), 'b'.repeat(60)), 100);
    expect(await values.next()).toMatchObject({ value: {} });
    await expect(values.next()).rejects.toThrow('a line is longer than 100 bytes');
  });

  it('skips empty lines and takes lines that end in CR LF', async () => {
    expect(await parse('\n{"a":1}\r\n\r\n \n{"b":2}\r\n')).toEqual([{ a: 1 }, { b: 2 }]);
  });

  it('gives what came before a cut and then fails', async () => {
    const seen: unknown[] = [];
    const read = async (): Promise<void> => {
      for await (const value of parseJsonLines(chunksOf('{"a":1}\n{"b":'))) seen.push(value);
    };
    await expect(read()).rejects.toThrow(SyntaxError);
    expect(seen).toEqual([{ a: 1 }]);
  });

  it('does not pull the next chunk before the values of the last one are taken', async () => {
    let pulled = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for (; pulled < 3;) {
        pulled += 1;
        yield Buffer.from('1\n2\n');
      }
    }
    const values = parseJsonLines(counted());
    await values.next();
    await values.next();
    expect(pulled).toBe(1);
    await values.next();
    expect(pulled).toBe(2);
  });
});
