import { describe, expect, it } from 'vitest';
import { createMetrics } from '#src/telemetry/metrics';

describe('createMetrics', () => {
  it('has the build, the process and Node under their standard names', async () => {
    const text = await createMetrics({ version: '1.2.3' }).metrics();
    expect(text).toContain(`ballast_build_info{version="1.2.3",node_version="${process.version}"} 1`);
    expect(text).toMatch(/^process_cpu_seconds_total \d/m);
    expect(text).toMatch(/^nodejs_eventloop_lag_seconds \d/m);
  });

  it('makes a registry of its own each time', async () => {
    const first = createMetrics({ version: 'a' });
    createMetrics({ version: 'b' });
    expect(await first.metrics()).not.toContain('version="b"');
  });
});
