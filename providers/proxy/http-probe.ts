import { request } from 'node:http';
import { faultOf } from './local-fault.ts';
import type { ProbeResult } from './probe-state.ts';

/** Asks one node; never rejects. Stops, as `silent`, when the signal aborts. */
export type Probe = (host: string, port: number, timeoutMs: number, signal: AbortSignal) => Promise<ProbeResult>;

/**
 * GET `/healthz`, as kube-proxy serves it on its own port and on every healthCheckNodePort (KEP-3836): 200 is yes,
 * another answer is no. Each check makes a connection of its own, because whether a new connection can be made is what
 * clients care about, and a kept one would go on over a path that is closed to new ones.
 */
export const httpProbe: Probe = (host, port, timeoutMs, signal) =>
  new Promise((resolve) => {
    const ask = request({ host, port, path: '/healthz', agent: false, signal, headers: { connection: 'close' } });
    const timer = setTimeout(() => ask.destroy(), timeoutMs);
    ask.on('response', (response) => {
      resolve(response.statusCode === 200 ? 'yes' : 'no');
      // The body says nothing more; the timer ends one that does not end.
      response.resume();
      response.on('error', () => ask.destroy());
    });
    ask.on('error', (error) => {
      const fault = faultOf(error);
      if (fault === 'machine' || fault === 'ports') resolve('unknown');
      ask.destroy();
    });
    ask.on('close', () => {
      clearTimeout(timer);
      resolve('silent');
    });
    ask.end();
  });
