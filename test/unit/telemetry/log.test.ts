import { describe, expect, it } from 'vitest';
import { BallastError } from '#src/errors';
import { createLog } from '#src/telemetry/log';
import { captureLog } from '#test/fakes/log';

const TOKEN = 'abcdef0123456789.ghijkl';
const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl';

describe('createLog', () => {
  it('writes one JSON object a line with level, time, fields and message', () => {
    const { log, lines, text } = captureLog();
    log.info({ key: 'default/web', n: 1 }, 'reconciled\nwell');
    expect(lines).toEqual([
      { level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/), key: 'default/web', n: 1, msg: 'reconciled\nwell' },
    ]);
    expect(text().split('\n')).toHaveLength(2);
  });

  it('says nothing below its level', () => {
    const written: string[] = [];
    const log = createLog('warn', { write: (line) => void written.push(line) });
    log.debug({}, 'a');
    log.info({}, 'b');
    log.warn({}, 'c');
    log.error({}, 'd');
    expect(written.map((line) => JSON.parse(line).msg)).toEqual(['c', 'd']);
  });

  it('gives a child the fields of its parents', () => {
    const { log, lines } = captureLog();
    log.child({ controller: 'service' }).child({ key: 'a/b' }).warn({ outcome: 'bug' }, 'x');
    expect(lines[0]).toMatchObject({ controller: 'service', key: 'a/b', outcome: 'bug' });
  });

  it('does not change what it is given', () => {
    const { log } = captureLog();
    const fields = Object.freeze({ headers: Object.freeze({ authorization: `Bearer ${TOKEN}` }) });
    log.info(fields, 'x');
    expect(fields.headers.authorization).toBe(`Bearer ${TOKEN}`);
  });

  it('survives cycles, great depth, big integers, buffers, maps and sets', () => {
    const { log, lines } = captureLog();
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    let deep: object = {};
    for (let i = 0; i < 100; i++) deep = { deep };
    const fields = {
      cycle,
      deep,
      big: 2n ** 70n,
      bytes: new Uint8Array(3),
      map: new Map([['a', 1]]),
      set: new Set([2]),
    };
    log.info(fields, 'x');
    expect(lines[0]).toMatchObject({
      cycle: { self: '[circular]' },
      big: String(2n ** 70n),
      bytes: '[3 bytes]',
      map: { a: 1 },
      set: [2],
    });
    expect(JSON.stringify(lines[0])).toContain('[too deep]');
  });

  it('writes the same object twice when it is no cycle', () => {
    const { log, lines } = captureLog();
    const shared = { a: 1 };
    log.info({ x: shared, y: shared }, 'x');
    expect(lines[0]).toMatchObject({ x: { a: 1 }, y: { a: 1 } });
  });
});

describe('errors in the log', () => {
  it('are written with code, kind, field, stack and the chain of causes', () => {
    const { log, lines } = captureLog();
    const socket = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:6443'), { code: 'ECONNREFUSED' });
    const error = new BallastError('AddressInUse', 'taken', {
      field: 'spec.loadBalancerIP',
      cause: new Error('fetch failed', { cause: socket }),
    });
    log.error({ error }, 'failed');
    expect(lines[0]?.['error']).toMatchObject({
      name: 'BallastError',
      message: 'taken',
      code: 'AddressInUse',
      kind: 'terminal',
      field: 'spec.loadBalancerIP',
      stack: expect.stringContaining('log.test.ts'),
      cause: { message: 'fetch failed', cause: { code: 'ECONNREFUSED' } },
    });
  });

  it('keep the single failures of an AggregateError, whose own message may be empty', () => {
    const { log, lines } = captureLog();
    log.warn({ error: new AggregateError([new Error('v6 refused'), new Error('v4 refused')]) }, 'x');
    expect(lines[0]).toMatchObject({ error: { errors: [{ message: 'v6 refused' }, { message: 'v4 refused' }] } });
  });

  it('are recognised wherever they are, also as the fields themselves', () => {
    const { log, lines } = captureLog();
    log.warn({ attempts: [{ failed: new Error('one') }] }, 'x');
    log.warn(new Error('two'), 'y');
    expect(lines[0]).toMatchObject({ attempts: [{ failed: { message: 'one' } }] });
    expect(lines[1]).toMatchObject({ error: { message: 'two' }, msg: 'y' });
  });
});

describe('credentials', () => {
  it('do not reach the output from headers of the cause of an error', () => {
    const { log, lines, text } = captureLog();
    const response = {
      headers: { Authorization: `Bearer ${TOKEN}`, accept: 'x' },
      rawHeaders: ['authorization', TOKEN],
    };
    const cause = Object.assign(new Error('403'), { response, request: { token: TOKEN } });
    log.error({ error: new BallastError('ApiForbidden', 'no', { cause }) }, 'failed');
    expect(lines[0]).toMatchObject({ error: { cause: { message: '403' } } });
    expect(text()).not.toContain(TOKEN);
  });

  it('do not reach the output from an error message, its stack or the message of the line', () => {
    const { log, text } = captureLog();
    const error = new Error(`refused: authorization: Bearer ${TOKEN}, token ${JWT}`);
    log.error({ error, note: `basic dXNlcjpwYXNzd29yZA==` }, `sent bearer ${TOKEN}`);
    expect(text()).not.toContain(TOKEN);
    expect(text()).not.toContain(JWT);
    expect(text()).not.toContain('dXNlcjpwYXNzd29yZA');
    expect(text()).toContain('Bearer [redacted]');
  });

  it.each([
    'token',
    'Authorization',
    'proxy-authorization',
    'password',
    'access_token',
    'secretAccessKey',
    'client-key-data',
    'Set-Cookie',
  ])('do not reach the output from a field named %s, however deep, nor from a child', (name) => {
    const { log, lines, text } = captureLog();
    log.info({ a: { b: [{ c: { [name]: TOKEN } }] }, [name]: [TOKEN] }, 'x');
    log.child({ user: { [name]: TOKEN } }).info({}, 'y');
    expect(lines).toHaveLength(2);
    expect(text()).not.toContain(TOKEN);
  });

  it('are not seen where there are none', () => {
    const { log, lines } = captureLog();
    log.info(
      { tokens: 3, token: 3, secretName: 'tls', authorizationMode: 'RBAC', text: 'basic rules' },
      'bearer of news',
    );
    expect(lines[0]).toMatchObject({
      tokens: 3,
      token: 3,
      secretName: 'tls',
      authorizationMode: 'RBAC',
      text: 'basic rules',
      msg: 'bearer of news',
    });
  });
});
