import { describe, expect, it } from 'vitest';
import { foldPorts } from '#src/service/foldports';

describe('folding what is said once per port', () => {
  it('makes one sentence of those that differ in the port alone', () => {
    const about = (port: string): string =>
      `192.0.2.1 is not here, so nothing can listen on 192.0.2.1:${port}: add it. Or take it out of the pool.`;
    expect(foldPorts(['80/TCP', '443/TCP', '53/UDP'].map(about).join(' '))).toBe(about('80/TCP, 443/TCP, 53/UDP'));
  });

  it('leaves sentences that say something else, or nothing of ports, in their order', () => {
    const text = 'No permission for [fd00::1]:80/TCP. 192.0.2.1:443/TCP is taken; see `ss -ltnup`. Mend it!';
    expect(foldPorts(text)).toBe(text);
    expect(foldPorts('')).toBe('');
  });

  it('does not mix up sentences with several ports', () => {
    const text = '80/TCP and 443/TCP clash. 80/TCP and 53/UDP clash.';
    expect(foldPorts(text)).toBe(text);
  });

  it('counts ports beyond ten', () => {
    const text = Array.from({ length: 12 }, (_, index) => `No ${index + 1}/TCP.`).join(' ');
    expect(foldPorts(text)).toMatch(/^No 1\/TCP, .*10\/TCP, 2 more\.$/);
  });
});
