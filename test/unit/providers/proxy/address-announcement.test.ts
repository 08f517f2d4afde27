import { describe, expect, it } from 'vitest';
import { strangersBeside } from '#providers/proxy/address-announcement';

describe('whom an address is announced by asking for', () => {
  it('is neighbours in its own small network', () => {
    expect(strangersBeside('192.0.2.200', new Set())).toEqual(['192.0.2.201', '192.0.2.202', '192.0.2.203']);
    expect(strangersBeside('192.0.2.203', new Set())).toEqual(['192.0.2.202', '192.0.2.201', '192.0.2.200']);
  });

  it('is nobody on this machine, which would not be asked for', () => {
    const local = new Set(['192.0.2.200', '192.0.2.201', '192.0.2.202', '192.0.2.203']);
    expect(strangersBeside('192.0.2.200', local)).toEqual(['192.0.2.204', '192.0.2.205', '192.0.2.206']);
  });

  it('is nobody for IPv6', () => {
    expect(strangersBeside('fd00::1', new Set())).toEqual([]);
  });
});
