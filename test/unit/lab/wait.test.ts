import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { waitFor } from '../../lab/wait.ts';

describe('waiting', () => {
  it('gives the first value that is there, and takes an error for "not yet"', async () => {
    const answers = [undefined, new Error('refused'), false];
    const check = async (): Promise<boolean | undefined> => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    };
    expect(await waitFor({ what: 'it', timeoutMs: 1_000, intervalMs: 1, check })).toBe(false);
    expect(answers).toEqual([]);
  });

  it('says what was missing, what the last attempt said, and how the log ends', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wait-'));
    const log = join(folder, 'a.log');
    await writeFile(log, 'first\nlast words\n');
    const check = async (): Promise<undefined> => {
      throw new Error('connection refused');
    };
    const waiting = waitFor({ what: 'the moon', timeoutMs: 5, intervalMs: 1, log, check });
    await expect(waiting).rejects.toThrow(
      /Waited 0.005 s for the moon. The last attempt said: connection refused. The end of .*a.log:\nfirst\nlast words/,
    );
    await rm(folder, { recursive: true });
  });

  it('ends with the reason of the signal', async () => {
    const controller = new AbortController();
    const waiting = waitFor({
      what: 'it',
      timeoutMs: 60_000,
      signal: controller.signal,
      check: async () => undefined,
    });
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});
