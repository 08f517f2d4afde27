/** Credentials are fed into everything that writes for people; none may come out. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PROVIDERS } from '#providers/registry';
import { runCli } from '#src/cli/program';
import { BallastError } from '#src/errors';
import { apiErrorOf } from '#src/kube/apierror';
import { withoutCredentials } from '#src/kube/scrub';
import { redactText } from '#src/telemetry/redact';
import { captureLog } from '#test/fakes/log';
import { temporaryFolder } from '../control-plane/temporary-folder.ts';
import { Loopback, type Received } from '../kube/loopback.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** Commands and processes take their time on a busy machine. */
vi.setConfig({ testTimeout: 60_000 });

const MARK = 'S3CR3T';
const JWT = `eyJhbGciOiJSUzI1NiJ9.eyJ${MARK}.c2ln${MARK}`;
const PASSWORD = `hunter2${MARK}`;
const BASIC = Buffer.from(`admin:${PASSWORD}`).toString('base64');
const PEM = `-----BEGIN RSA PRIVATE KEY-----\nMIIE${MARK}\n${MARK}==\n-----END RSA PRIVATE KEY-----`;
const PEM_BASE64 = Buffer.from(PEM).toString('base64');

/** Texts that hold a credential, as errors of libraries and servers bring them. */
const TEXTS: readonly (readonly [what: string, text: string])[] = [
  ['a bearer token', `Authorization: Bearer ${MARK}.token`],
  ['a bearer token in a URL', `/x?authorization=Bearer%20${MARK}token`],
  ['basic authentication', `authorization: Basic ${BASIC}`],
  ['a JSON Web Token', `could not verify ${JWT}`],
  ['a URL with user and password', `GET https://admin:${PASSWORD}@192.0.2.1:6443/api failed`],
  ['a URL with a token for a user', `proxy http://${MARK}@proxy:3128 refused`],
  ['a private key', `cannot parse ${PEM}`],
  ['a private key as JSON writes it', JSON.stringify({ key: PEM })],
  ['a private key of a kubeconfig', `client-key-data: ${PEM_BASE64}`],
  ['a token of a kubeconfig', `    token: ${MARK}-opaque-token`],
  ['a password of a kubeconfig', `    password: "${PASSWORD}"`],
  ['JSON', `{"kind":"ExecCredential","status":{"token":"${MARK}-opaque"}}`],
  ['JSON in JSON', JSON.stringify(JSON.stringify({ password: PASSWORD }))],
  ['a query', `POST /token?client_secret=${PASSWORD}&x=1`],
];

/** The parts of credentials that the text shows, also as base64 shows them. */
function leaks(text: string): readonly string[] {
  const secrets = [MARK, BASIC, PEM_BASE64.slice(0, 40), JWT.split('.')[2] ?? JWT];
  return secrets.filter((secret) => text.includes(secret));
}

describe('the log', () => {
  it.each(TEXTS)('keeps %s to itself: in messages, fields, errors and their causes', (_, text) => {
    const { log, text: written, lines } = captureLog();
    const inner = new Error(text, { cause: text });
    const error = new BallastError('ApiUnavailable', text, { cause: new AggregateError([inner], text), field: text });
    for (const level of ['debug', 'info', 'warn', 'error'] as const) {
      log[level]({ text, nested: [{ deep: { text } }], map: new Map([['text', text]]) }, text);
      log.child({ text })[level]({ error }, 'failed');
    }
    expect(lines).toHaveLength(8);
    expect(leaks(written())).toEqual([]);
  });

  it.each(['authorization', 'Proxy-Authorization', 'cookie', 'set-cookie', 'token', 'access_token', 'client-key-data'])(
    'keeps the field %s to itself, whatever it looks like and wherever it is',
    (name) => {
      const { log, text } = captureLog();
      const fields = { [name]: `${MARK} of no known form` };
      log.info({ ...fields, request: { headers: fields }, list: [fields] }, 'x');
      log.error({ error: Object.assign(new Error('403'), { request: { headers: fields }, ...fields }) }, 'x');
      expect(leaks(text())).toEqual([]);
    },
  );

  it('says the rest', () => {
    expect(redactText('GET https://192.0.2.1:6443/api/v1/services: 403 token: 3 is not allowed at a@b.c')).toBe(
      'GET https://192.0.2.1:6443/api/v1/services: 403 token: 3 is not allowed at a@b.c',
    );
  });
});

describe('an answer of the API server', () => {
  it.each(TEXTS)('with %s in it becomes an error without, and so conditions and events', (_, text) => {
    const status = JSON.stringify({ kind: 'Status', message: text });
    for (const body of [text, status]) {
      expect(leaks(apiErrorOf({ httpStatus: 403, body, retryAfter: undefined, request: 'GET /api' }).message)).toEqual(
        [],
      );
    }
  });

  it('that quotes our credentials in any form loses them', () => {
    const opaque = `${MARK}-opaque`;
    expect(withoutCredentials(`no such token ${opaque}!`, { headers: { authorization: `Bearer ${opaque}` } })).toBe(
      'no such token [redacted]!',
    );
    const basic = { headers: { authorization: `Basic ${BASIC}` } };
    expect(withoutCredentials(`${BASIC} is admin:${PASSWORD}, password ${PASSWORD}`, basic)).not.toContain(MARK);
    expect(withoutCredentials('as it was', { headers: {} })).toBe('as it was');
  });
});

interface Kubeconfig {
  readonly server?: string;
  readonly proxy?: string;
  readonly user: object;
}

async function kubeconfig({ server = 'https://127.0.0.1:1', proxy, user }: Kubeconfig): Promise<string> {
  const path = join(temporaryFolder(), 'kubeconfig');
  const cluster = { server, ...(proxy && { 'proxy-url': proxy }) };
  const content = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'lab',
    clusters: [{ name: 'c', cluster }],
    contexts: [{ name: 'lab', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user }],
  };
  await writeFile(path, JSON.stringify(content));
  return path;
}

/** Everything that a command prints, on either stream. */
async function printed(argv: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
  let text = '';
  const write = (more: string): void => void (text += more);
  const env = { PATH: process.env['PATH'], BALLAST_METRICS_BIND_ADDRESS: '0' };
  const code = await runCli(argv, { providers: PROVIDERS, env, version: '0', stdout: write, stderr: write });
  return { code, text };
}

describe('a kubeconfig that does not work', () => {
  const program = async (script: string): Promise<string> => {
    const path = join(temporaryFolder(), 'credentials');
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  };
  const exec = async (script: string): Promise<string> => {
    const command = await program(script);
    const apiVersion = 'client.authentication.k8s.io/v1';
    return kubeconfig({ user: { exec: { apiVersion, command, interactiveMode: 'Never' } } });
  };
  const cases: readonly (readonly [what: string, path: () => Promise<string>, says: string])[] = [
    ['a program that writes no JSON', () => exec(`echo '${MARK} {'`), 'run it by hand'],
    ['a program that complains', () => exec(`echo 'token ${MARK}' >&2; exit 1`), 'run it by hand'],
    [
      'a password in the server',
      () => kubeconfig({ server: `https://admin:${PASSWORD}@127.0.0.1:1`, user: {} }),
      'has a user or a password in the URL',
    ],
    [
      'a password in a proxy that cannot be',
      () => kubeconfig({ proxy: `ftp://admin:${PASSWORD}@127.0.0.1:1`, user: {} }),
      'has the proxy-url',
    ],
    [
      'a password in a proxy that is away',
      () => kubeconfig({ proxy: `http://admin:${PASSWORD}@127.0.0.1:1`, user: { token: MARK } }),
      'ECONNREFUSED',
    ],
    ['a token that no header can carry', () => kubeconfig({ user: { token: `a\n${MARK}` } }), 'invalid authorization'],
    ['a key that is none', () => kubeconfig({ user: { 'client-key-data': btoa(MARK) } }), 'ballast: '],
    ['a password', () => kubeconfig({ user: { username: 'admin', password: PASSWORD } }), 'ECONNREFUSED'],
    [
      'a mistake in its YAML',
      async () => {
        const path = join(temporaryFolder(), 'kubeconfig');
        await writeFile(path, `users:\n- user:\n    token: ${MARK}-a\n   name: b\n    password: ${MARK}-c\n`);
        return path;
      },
      'cannot be used: bad indentation',
    ],
  ];
  it.each(cases)('for %s is told of without what is in it', async (_, path, says) => {
    const { code, text } = await printed(['plan', '-A', '--kubeconfig', await path()]);
    expect(code).not.toBe(0);
    expect(text).toContain(says);
    expect(leaks(text)).toEqual([]);
  });
});

describe('a command line', () => {
  it.each([
    ['explain', 'svc/web', `--controller=http://admin:${PASSWORD}@127.0.0.1:1`],
    ['plan', `--token=${MARK}`],
    ['plan', '-A', `--kubeconfig=https://admin:${PASSWORD}@127.0.0.1/config`],
  ])('with a credential that does not belong there is refused without it: %s', async (...argv) => {
    const path = await kubeconfig({ user: { token: MARK } });
    const { code, text } = await printed(argv[0] === 'explain' ? [...argv, '--kubeconfig', path] : argv);
    expect(code).toBe(64);
    expect(leaks(text)).toEqual([]);
  });
});

/** Runs a program until the text holds what is awaited, ends it, and gives everything it wrote. */
async function output(argv: readonly string[], awaited: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, ['--conditions=source', ...argv], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  const closed = once(child, 'close');
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (more: string) => {
      text += more;
      if (awaited.every((word) => text.includes(word))) child.kill('SIGTERM');
    });
  }
  await closed;
  return text;
}

describe('the controller', () => {
  it('logs nothing of its token while an API server throws back at it all that it gets', async () => {
    const echo = ({ headers, body, path }: Received): string => JSON.stringify({ headers, body, path });
    await using server = await Loopback.start((request, response) => {
      const status = request.path.includes('nodes') ? 401 : request.path.includes('services') ? 403 : 500;
      const body = status === 500 ? echo(request) : JSON.stringify({ kind: 'Status', message: echo(request) });
      response.writeHead(status, { 'content-type': 'application/json', 'set-cookie': `session=${MARK}` });
      response.end(body);
    });
    const path = await kubeconfig({ server: server.url, user: { token: `${MARK}-opaque-token` } });
    const flags = ['--kubeconfig', path, '--metrics-bind-address', '0', '--log-level', 'debug'];
    const text = await output(['src/main.ts', 'controller', ...flags], ['401', '403', '500', 'leases']);
    expect(server.requests.some(({ headers }) => headers.authorization === `Bearer ${MARK}-opaque-token`)).toBe(true);
    expect(text).toContain('the controller starts');
    expect(leaks(text)).toEqual([]);
  });

  it('dies of an error that nobody expected without telling what the error carries', async () => {
    const script = `
      import { watchForEnd } from '#src/cli/controller/signals';
      import { createLog } from '#src/telemetry/log';
      watchForEnd(createLog('info'));
      const headers = { authorization: 'Bearer ${MARK}-token' };
      const cause = Object.assign(new Error('sent authorization: Bearer ${MARK}-token'), { headers, options: { headers } });
      Promise.reject(new Error('unexpected', { cause }));`;
    const text = await output(['--input-type=module', '--eval', script], ['nobody waits for this']);
    expect(text).toContain('an error that nothing handled');
    expect(leaks(text)).toEqual([]);
  });
});
