import { describe, expect, it } from 'vitest';
import { Affinity } from '#providers/proxy/affinity';

describe('session affinity', () => {
  it('remembers a client for the time-out after its last connection', () => {
    const affinity = new Affinity();
    affinity.remember('192.0.2.1', 'node-1', 0);
    expect(affinity.nodeOf('192.0.2.1', 1_000, 999)).toBe('node-1');
    affinity.remember('192.0.2.1', 'node-1', 999);
    expect(affinity.nodeOf('192.0.2.1', 1_000, 1_998)).toBe('node-1');
    expect(affinity.nodeOf('192.0.2.1', 1_000, 1_999)).toBeUndefined();
    expect(affinity.nodeOf('192.0.2.2', 1_000, 0)).toBeUndefined();
  });

  it('forgets whoever was away too long, without being asked for them', () => {
    const affinity = new Affinity();
    for (let host = 0; host < 100; host++) affinity.remember(`192.0.2.${host}`, 'node-1', host);
    expect(affinity.nodeOf('192.0.2.99', 50, 100)).toBe('node-1');
    expect(affinity.size).toBe(49);
  });

  it('remembers so many clients and no more, and forgets the one that was away longest', () => {
    const affinity = new Affinity();
    const client = (number: number): string => `client ${number}`;
    for (let number = 0; number < 65_536; number++) affinity.remember(client(number), 'node-1', 0);
    affinity.remember(client(0), 'node-2', 1);
    affinity.remember('newcomer', 'node-1', 2);
    expect(affinity.size).toBe(65_536);
    expect(affinity.nodeOf(client(0), 1_000, 2)).toBe('node-2');
    expect(affinity.nodeOf(client(1), 1_000, 2)).toBeUndefined();
    expect(affinity.nodeOf(client(2), 1_000, 2)).toBe('node-1');
  });

  it('keeps a known client in its place when it comes again at the limit', () => {
    const affinity = new Affinity();
    for (let number = 0; number < 65_536; number++) affinity.remember(String(number), 'node-1', 0);
    affinity.remember('5', 'node-1', 1);
    expect(affinity.size).toBe(65_536);
  });
});
