/**
 * The least that a controller can do: watches Services and writes each one without an address a status of the size that
 * Ballast's has. It decides nothing and remembers nothing, so its times are the API server's.
 */
import { Agent } from 'undici';

const { API_URL = '', API_TOKEN = '' } = process.env;
const COLLECTION = '/api/v1/services';
const headers = { authorization: `Bearer ${API_TOKEN}` };
/** As many as Ballast's controller has workers, and one for the watch. */
const WORKERS = 8;

interface Service {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly type: string };
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly unknown[] } };
}

const agent = new Agent({ connections: WORKERS + 1 });
const waiting: Service[] = [];
let busy = 0;
let addresses = 0;

function see(service: Service): void {
  const wants = service.spec.type === 'LoadBalancer' && service.metadata.deletionTimestamp === undefined;
  if (!wants || (service.status?.loadBalancer?.ingress ?? []).length > 0) return;
  waiting.push(service);
  if (busy < WORKERS) void work();
}

async function work(): Promise<void> {
  busy += 1;
  for (let service = waiting.shift(); service; service = waiting.shift()) await write(service);
  busy -= 1;
}

async function write({ metadata: { namespace, name } }: Service): Promise<void> {
  const number = addresses++;
  const ip = `198.19.${number >> 8}.${number & 255}`;
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  const message = `Served at ${ip} on 80/TCP, as far as this text goes.`;
  const conditions = ['Accepted', 'Programmed', 'Ready'].map((type) => ({
    type: `ballast.dev/${type}`,
    status: 'True',
    reason: 'Programmed',
    message,
    lastTransitionTime,
  }));
  const { body } = await agent.request({
    origin: API_URL,
    path: `/api/v1/namespaces/${namespace}/services/${name}/status`,
    method: 'PATCH',
    headers: { ...headers, 'content-type': 'application/merge-patch+json' },
    body: JSON.stringify({ status: { loadBalancer: { ingress: [{ ip, ipMode: 'VIP' }] }, conditions } }),
  });
  await body.dump();
}

/** Until the API server ends the watch, as it does with clients that are slow. */
async function follow(): Promise<void> {
  const list = await agent.request({ origin: API_URL, path: COLLECTION, method: 'GET', headers });
  const { items, metadata }: { items: readonly Service[]; metadata: { resourceVersion: string } } = JSON.parse(
    await list.body.text(),
  );
  for (const service of items) see(service);
  const watch = await agent.request({
    origin: API_URL,
    path: `${COLLECTION}?watch=1&resourceVersion=${metadata.resourceVersion}`,
    method: 'GET',
    headers,
    bodyTimeout: 0,
  });
  let rest = '';
  watch.body.setEncoding('utf8');
  for await (const chunk of watch.body) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event: { type: string; object: Service } = JSON.parse(line);
      if (event.type === 'ADDED' || event.type === 'MODIFIED') see(event.object);
    }
  }
}

for (;;) await follow();
