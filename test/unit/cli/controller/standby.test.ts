import { describe, expect, it } from 'vitest';
import { checkEndings } from '#src/cli/controller/ending';
import { standbyOf } from '#src/cli/controller/standby';
import type { Provider } from '#src/loadbalancer/provider';
import { RecordingProvider } from '#test/fakes/recording-provider';

/** A provider that stands by until its signal aborts. */
function waiting(): { readonly provider: Provider; readonly calls: string[] } {
  const calls: string[] = [];
  const provider: Provider = Object.assign(new RecordingProvider(), {
    async standby(signal: AbortSignal) {
      calls.push('begins');
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      calls.push('ends');
    },
  });
  return { provider, calls };
}

describe('standing by', () => {
  it('is nothing for a provider that leaves nothing behind', () => {
    expect(standbyOf(new RecordingProvider(), { acquired: Promise.resolve() })).toBeUndefined();
  });

  it('ends when this process leads, and says when it has', async () => {
    const { provider, calls } = waiting();
    const { promise: acquired, resolve } = Promise.withResolvers<void>();
    const standby = standbyOf(provider, { acquired });
    expect(standby?.component.needsLeadership ?? false).toBe(false);
    const running = standby?.component.start(new AbortController().signal);
    void standby?.ended.then(() => calls.push('told'));
    await new Promise((done) => setImmediate(done));
    expect(calls).toEqual(['begins']);
    resolve();
    await running;
    await standby?.ended;
    expect(calls).toEqual(['begins', 'ends', 'told']);
  });

  it('ends with the process', async () => {
    const { provider, calls } = waiting();
    const abort = new AbortController();
    const running = standbyOf(provider, { acquired: new Promise(() => {}) })?.component.start(abort.signal);
    abort.abort();
    await running;
    expect(calls).toEqual(['begins', 'ends']);
  });
});

describe('the time that a provider needs to end', () => {
  const ending = { atMostMs: 9_000, option: 'proxy-shutdown-timeout' };
  const provider: Provider = Object.assign(new RecordingProvider(), { ending });

  it('is refused when the process would not wait so long, with both options named', () => {
    expect(() => checkEndings([provider], 8_999)).toThrow(/--proxy-shutdown-timeout .* --shutdown-timeout/);
  });

  it('is fine otherwise', () => {
    expect(() => checkEndings([provider, new RecordingProvider()], 9_000)).not.toThrow();
  });
});
