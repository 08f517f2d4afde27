import { describe, expect, it } from 'vitest';
import { isOlderVersion } from '#src/kube/resourceversion';

describe('isOlderVersion', () => {
  it.each([
    ['9', '10', true],
    ['10', '9', false],
    ['10', '10', false],
    ['9007199254740992', '9007199254740993', true],
    ['0', '1', true],
    ['a9', '10', false],
    ['9', 'b10', false],
    ['', '10', false],
  ])('is told %s and %s', (version, than, expected) => {
    expect(isOlderVersion(version, than)).toBe(expected);
  });
});
