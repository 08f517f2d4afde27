import { describe, expect, it } from 'vitest';
import { Generator } from '#test/soak/generator';
import { Random } from '#test/soak/random';
import { parseScript, type Head, type Line } from '#test/soak/script';
import { shrink } from '#test/soak/shrink';

const ROUNDS = 40;

function rounds(seed: number, ipv6 = true, cloud = true): readonly (readonly Line[])[] {
  const generator = new Generator(new Random(seed), { ipv6, cloud });
  return Array.from({ length: ROUNDS }, () => generator.next());
}

describe('what happens in a soak', () => {
  it('follows from the seed alone', () => {
    expect(rounds(7)).toEqual(rounds(7));
    expect(rounds(7)).not.toEqual(rounds(8));
  });

  it('is of every kind before long, and begins without faults', () => {
    const kinds = new Set(
      [1, 2, 3].flatMap((seed) => rounds(seed).flatMap((lines) => lines.map(({ action }) => action.do))),
    );
    for (const kind of ['create', 'edit', 'delete', 'recreate', 'tamper', 'node', 'endpoints'])
      expect(kinds).toContain(kind);
    for (const kind of ['network', 'cut-connections', 'cut-watches', 'cut-lists', 'kill-api-server']) {
      expect(kinds).toContain(kind);
    }
    for (const kind of ['cloud-network', 'pause-api-server', 'terminate', 'kill', 'pause']) {
      expect(kinds).toContain(kind);
    }
    const first = rounds(1)[0]?.map(({ action }) => action.do);
    expect(new Set(first)).toEqual(new Set(['node', 'create']));
  });

  it('asks for no IPv6 where there is none', () => {
    const families = rounds(3, false)
      .flat()
      .flatMap(({ action }) => (action.do === 'create' || action.do === 'recreate' ? action.asked.families : []));
    expect(new Set(families)).toEqual(new Set(['IPv4']));
  });

  it('has nothing of the cloud where that takes no part', () => {
    const text = (cloud: boolean): string => JSON.stringify([1, 2, 3].map((seed) => rounds(seed, true, cloud)));
    expect(text(true)).toMatch(/"class":"cloud".*"@c\d"/);
    expect(text(false)).not.toMatch(/cloud|@c/);
  });

  it('can be written down and read again', () => {
    const head: Head = { soak: 1, seed: 7, ipv6: true };
    const lines = rounds(7).flat();
    const text = [head, ...lines].map((line) => JSON.stringify(line)).join('\n');
    expect(parseScript(text)).toEqual({ head, lines: JSON.parse(JSON.stringify(lines)) });
    expect(() => parseScript(`${JSON.stringify(head)}\n{"round":1}`)).toThrow('Line 2 is not an action');
    expect(() => parseScript('{}')).toThrow('not that of a soak');
  });
});

describe('a random number', () => {
  it('lies within its limits and reaches both', () => {
    const random = new Random(1);
    const numbers = Array.from({ length: 1_000 }, () => random.integer(2, 4));
    expect(new Set(numbers)).toEqual(new Set([2, 3, 4]));
    expect(() => random.pick([])).toThrow(RangeError);
  });

  it('never chooses what has no weight', () => {
    const random = new Random(1);
    const chosen = Array.from({ length: 500 }, () =>
      random.weighted([
        [0, 'never'],
        [1, 'always'],
      ] as const),
    );
    expect(new Set(chosen)).toEqual(new Set(['always']));
  });
});

describe('shrinking', () => {
  const line = (round: number, service: string): Line => ({ round, afterMs: 0, action: { do: 'delete', service } });
  const all = [1, 2, 3, 4, 5, 6].flatMap((round) => ['a', 'b', 'c'].map((service) => line(round, service)));
  const needs = (lines: readonly Line[]): boolean =>
    lines.some(({ round, action }) => round === 2 && 'service' in action && action.service === 'b') &&
    lines.some(({ round, action }) => round === 5 && 'service' in action && action.service === 'c');

  it('leaves what the failure needs, in order', async () => {
    const smallest = await shrink(
      all,
      (lines) => Promise.resolve(needs(lines)),
      () => true,
    );
    expect(smallest).toEqual([line(2, 'b'), line(5, 'c')]);
  });

  it('gives what fails when time is up', async () => {
    let tries = 0;
    const smallest = await shrink(
      all,
      (lines) => Promise.resolve(needs(lines)),
      () => (tries += 1) <= 8,
    );
    expect(needs(smallest)).toBe(true);
    expect(smallest.length).toBeLessThan(all.length);
  });
});
