import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** A process that watches for its end, and then does this; its exit code and what it logged. */
async function run(then: string): Promise<{ readonly code: unknown; readonly log: string }> {
  const script = `
    import { watchForEnd } from '#src/cli/controller/signals';
    import { createLog } from '#src/telemetry/log';
    using end = watchForEnd(createLog('info'));
    const alive = setInterval(() => {}, 1_000);
    end.signal.addEventListener('abort', () => clearInterval(alive));
    ${then}`;
  const child = spawn(process.execPath, ['--conditions=source', '--input-type=module', '--eval', script], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const [code] = await once(child, 'close');
  return { code, log };
}

describe('a process that watches for its end', () => {
  it('ends in order at the first signal', async () => {
    const { code, log } = await run(
      "process.kill(process.pid, 'SIGTERM'); await new Promise((r) => setTimeout(r, 50));",
    );
    expect(code).toBe(0);
    expect(log).toContain('ending in order');
  });

  it('ends at once at the second signal', async () => {
    const { code, log } = await run(`
      process.on('SIGINT', () => setTimeout(() => process.kill(process.pid, 'SIGINT'), 20));
      process.kill(process.pid, 'SIGINT');
      await new Promise((resolve) => setTimeout(resolve, 5_000));`);
    expect(code).toBe(130);
    expect(log).toContain('ending at once, as asked a second time');
  });

  it('ends with 1 when nothing handles a rejection or an exception, and logs it with its stack', async () => {
    for (const accident of [
      "void Promise.reject(new Error('left behind'));",
      "setTimeout(() => { throw new Error('left behind'); });",
    ]) {
      const { code, log } = await run(`${accident} await new Promise((resolve) => setTimeout(resolve, 5_000));`);
      expect(code).toBe(1);
      expect(JSON.parse(log)).toMatchObject({
        level: 'error',
        error: { message: 'left behind', stack: expect.stringContaining('left behind') },
      });
    }
  });
});
