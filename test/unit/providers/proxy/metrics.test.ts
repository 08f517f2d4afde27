import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { ProxyMetrics } from '#providers/proxy/metrics';
import { serviceId } from '#test/fakes/builders';

const endpoint = { address: '192.0.2.1', family: 'IPv4', port: 80, protocol: 'TCP' } as const;

/** Every series there is, without those of help texts. */
async function series(registry: Registry): Promise<readonly string[]> {
  const text = await registry.metrics();
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('the metrics of the proxy', () => {
  it('have names and help that say what they are', async () => {
    const registry = new Registry();
    const metrics = new ProxyMetrics(registry);
    expect(metrics).toBeDefined();
    for (const { name, help } of await registry.getMetricsAsJSON()) {
      expect(name).toMatch(/^ballast_proxy_[a-z_]+$/);
      expect(help).toMatch(/\.$/);
    }
  });

  it('of a listener go with it, down to the last series', async () => {
    const registry = new Registry();
    const metrics = new ProxyMetrics(registry);
    const empty = await series(registry);
    const listener = metrics.listener(serviceId(), endpoint);
    listener.opened();
    listener.bytes('in', 5);
    listener.connected(3);
    listener.retried();
    listener.waits(1);
    listener.waits(-1);
    listener.refused('denied');
    listener.dropped('no-room');
    listener.target('node-1', 'reached');
    listener.target('node-2', 'failed');
    listener.ended('closed');
    expect((await series(registry)).length).toBeGreaterThan(15);
    expect((await series(registry)).join('\n')).toContain(
      'ballast_proxy_connections_total{load_balancer="service/default/web",address="192.0.2.1",port="80",protocol="TCP",result="closed"} 1',
    );
    listener.close();
    expect(await series(registry)).toEqual(empty);
    listener.ended('reset');
    listener.bytes('out', 1);
    listener.target('node-1', 'reached');
    expect(await series(registry)).toEqual(empty);
  });

  it('of a listener that still drains are those of the one that took its place', async () => {
    const registry = new Registry();
    const metrics = new ProxyMetrics(registry);
    const empty = await series(registry);
    const old = metrics.listener(serviceId(), endpoint);
    old.opened();
    const fresh = metrics.listener(serviceId(), endpoint);
    fresh.opened();
    old.ended('drained');
    old.close();
    expect((await series(registry)).join('\n')).toMatch(/active_connections\{[^}]*\} 1/);
    fresh.close();
    expect(await series(registry)).toEqual(empty);
  });

  it('of a node go when it is no target any more', async () => {
    const registry = new Registry();
    const metrics = new ProxyMetrics(registry);
    const listener = metrics.listener(serviceId(), endpoint);
    for (const node of ['node-1', 'node-2']) listener.target(node, 'reached');
    listener.keepTargets((node) => node === 'node-2');
    const text = (await series(registry)).join('\n');
    expect(text).not.toContain('node-1');
    expect(text).toContain('node="node-2"');
  });

  it('tell only so many nodes apart', async () => {
    const registry = new Registry();
    const metrics = new ProxyMetrics(registry);
    const listener = metrics.listener(serviceId(), endpoint);
    for (let node = 0; node < 10_050; node++) listener.target(`node-${node}`, 'reached');
    const text = (await series(registry)).filter((line) => line.startsWith('ballast_proxy_target_connections_total'));
    expect(text).toHaveLength(10_001);
    expect(text.find((line) => line.includes('node="other"'))).toMatch(/ 50$/);
    listener.keepTargets((node) => node !== 'node-3');
    listener.target('newcomer', 'reached');
    expect((await series(registry)).join('\n')).toContain('node="newcomer"');
  });
});

describe('the series of a load balancer', () => {
  it('go with it, also when another has its endpoint before its last connection ends', async () => {
    const registry = new Registry();
    const metrics = new ProxyMetrics(registry);
    const empty = await series(registry);
    const old = metrics.listener(serviceId('old'), endpoint);
    old.opened();
    const fresh = metrics.listener(serviceId('fresh'), endpoint);
    old.ended('drained');
    old.close();
    expect((await series(registry)).join('\n')).not.toContain('default/old');
    fresh.close();
    expect(await series(registry)).toEqual(empty);
  });
});
