/** One question to the controller's metrics server, over HTTP or TLS, with a token where there is one. */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { Agent, request } from 'undici';
import { BallastError, classify } from '../../errors.ts';

/** How the controller is reached, beside its URL. */
export interface Way {
  /** A PEM file with the authority of its certificate; without it, those that Node trusts. */
  readonly caFile?: string | undefined;
  /** A file with a bearer token. */
  readonly tokenFile?: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/** Longer than any plan of a large cluster; a stranger at that address may send for ever. */
const MOST_BYTES = 256 * 1024 * 1024;

/**
 * GETs the URL.
 * @throws BallastError `InvalidConfig` for a file that cannot be read, and where the token would go out in the clear;
 * what undici throws when nobody answers.
 */
export async function get(url: string, { caFile, tokenFile }: Way, signal: AbortSignal): Promise<HttpAnswer> {
  const token = tokenFile === undefined ? undefined : (await read(tokenFile, 'controller-token-file')).trim();
  if (token !== undefined && !isPrivate(url)) {
    const message = `The token would be sent in the clear to ${new URL(url).host}; use an https:// URL.`;
    throw new BallastError('InvalidConfig', message, { field: 'controller-token-file' });
  }
  const ca = caFile === undefined ? {} : { ca: await read(caFile, 'controller-ca-file') };
  const agent = new Agent({ connect: ca, allowH2: false, maxResponseSize: MOST_BYTES });
  try {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const { statusCode, body } = await request(url, { dispatcher: agent, signal, headers });
    return { status: statusCode, text: await body.text() };
  } finally {
    await agent.destroy();
  }
}

/** Encrypted, or not leaving this machine. */
function isPrivate(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const here = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
  return protocol === 'https:' || here;
}

async function read(file: string, option: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const message = `--${option} names a file that cannot be read: ${classify(error).message}.`;
    throw new BallastError('InvalidConfig', message, { field: option });
  }
}
