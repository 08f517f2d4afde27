import { describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import { Reflector } from '#src/kube/reflector';
import { SERVICES } from '#src/kube/resources';
import { Store } from '#src/kube/store';
import { trimService } from '#src/kube/trim';
import { parseWatchEvents } from '#src/kube/watchevents';
import type { Service } from '#src/kube/wire';
import { service } from '#test/fakes/builders';
import { FakeClock, settle } from '#test/fakes/clock';
import { silentLog } from '#test/fakes/log';
import { Registry } from 'prom-client';
import { registerKubeMetrics } from '#src/kube/metrics';
import { page } from './scripted-api.ts';

/** Characters of one to four bytes, escapes, and JSON within a text: wherever the cut falls, it hurts. */
const annotations = { note: 'grüße – 🚢 \\u00fc "quoted" \n', last: '{"a":[1,{"b":null}],"c":"}\\n{"}' };
const web = service({ metadata: { name: 'web', resourceVersion: '101', annotations } });
const later = service({ metadata: { name: 'later', uid: 'later', resourceVersion: '102' } });
const WHOLE = Buffer.from(
  [
    { type: 'ADDED', object: web },
    { type: 'ADDED', object: later },
  ]
    .map((event) => `${JSON.stringify(event)}\n`)
    .join(''),
);
const FIRST = WHOLE.indexOf('\n') + 1;

/** How a stream of so many bytes ends: a connection that is reset, or an end as if all had been said. */
type Ending = 'reset' | 'end';

async function* cut(bytes: Buffer, ending: Ending): AsyncGenerator<Uint8Array> {
  yield bytes;
  if (ending === 'reset') throw new BallastError('ApiUnavailable', 'the connection was reset');
}

/** What a reflector tells whose first watch breaks off after so many bytes, and whose second goes on from there. */
async function told(length: number, ending: Ending): Promise<readonly string[]> {
  const clock = new FakeClock();
  const store = new Store<Service>({ log: silentLog });
  const events: string[] = [];
  store.subscribe(({ type, object }) => events.push(`${type} ${JSON.stringify(object)}`));
  const versions: string[] = [];
  const reflector = new Reflector<Service>({
    client: {
      list: async () => page<Service>([], '100'),
      watch(_, { resourceVersion, signal }) {
        versions.push(resourceVersion);
        const rest = WHOLE.subarray({ '100': 0, '101': FIRST }[resourceVersion] ?? WHOLE.length);
        if (versions.length === 1) return parseWatchEvents(cut(rest.subarray(0, length), ending), 'WATCH');
        return parseWatchEvents(open(rest, signal), 'WATCH');
      },
    },
    resource: SERVICES,
    store,
    trim: trimService,
    log: silentLog,
    metrics: registerKubeMetrics(new Registry()),
    clock,
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  await settle();
  await clock.advance(10_000);
  stop.abort();
  await running;
  return events;
}

async function* open(bytes: Buffer, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  yield bytes;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

describe('a reflector whose watch breaks off', () => {
  it.each(['reset', 'end'] as const)(
    'tells each event once and whole, wherever the bytes end (by %s)',
    async (ending) => {
      const expected = [web, later].map((each) => `added ${JSON.stringify(trimService(each))}`);
      const wrong: number[] = [];
      for (let length = 0; length <= WHOLE.length; length += 1) {
        const events = await told(length, ending);
        if (JSON.stringify(events) !== JSON.stringify(expected)) wrong.push(length);
      }
      expect(wrong).toEqual([]);
    },
    120_000,
  );
});
