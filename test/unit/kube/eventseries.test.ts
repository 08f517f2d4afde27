import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutNote, eventName } from '#src/kube/eventseries';

describe('cutNote', () => {
  it('leaves a note alone that fits', () => {
    expect(cutNote('ü'.repeat(512))).toBe('ü'.repeat(512));
  });

  it('cuts a longer one between two characters, and shows that it did', () => {
    expect(cutNote('a'.repeat(1025))).toBe(`${'a'.repeat(1021)}…`);
    expect(cutNote(`a${'🚢'.repeat(300)}`)).toBe(`a${'🚢'.repeat(255)}…`);
  });

  it('never gives more than 1024 bytes or half a character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 300, maxLength: 2000 }), (note) => {
        const cut = cutNote(note);
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(1024);
        expect(cut.isWellFormed()).toBe(true);
        expect(note.startsWith(cut.replace(/…$/, ''))).toBe(true);
      }),
    );
  });
});

describe('eventName', () => {
  it('fits into the name of an object, however long the name of the other one is', () => {
    const name = eventName({ apiVersion: 'v1', kind: 'Node', name: `${'a.'.repeat(126)}b`, uid: 'u' });
    expect(name.length).toBeLessThanOrEqual(253);
    expect(name).toMatch(/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/);
    expect(name).not.toContain('..');
  });
});
