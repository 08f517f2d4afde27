import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { proxyHeader, type ProxiedConnection } from '#providers/proxy/proxy-protocol';
import { parseIp } from '#src/loadbalancer/ip';
import { desiredLoadBalancer, member } from '#test/fakes/builders';
import { Cleanup, NODE_PORT, dialClient, nodesOf, startNode, startWorld, until } from './rig.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Reads a header as the specification (proxy-protocol.txt, 2.2) says, byte by byte; throws where it is broken. */
function readHeader(bytes: Buffer): ProxiedConnection & { readonly family: number; readonly length: number } {
  const fail = (what: string): never => {
    throw new Error(`not a PROXY v2 header: ${what}`);
  };
  if (bytes.subarray(0, 12).toString('latin1') !== '\r\n\r\n\0\r\nQUIT\n') fail('signature');
  if (bytes[12] !== 0x21) fail('version and command');
  const [, , , , , , , , , , , , , family = 0] = bytes;
  const size = family === 0x11 ? 4 : family === 0x21 ? 16 : fail('family');
  if (bytes.readUInt16BE(14) !== 2 * size + 4) fail('length');
  const address = (offset: number): string => {
    const part = bytes.subarray(offset, offset + size);
    if (size === 4) return [...part].join('.');
    return Array.from({ length: 8 }, (_, index) => part.readUInt16BE(2 * index).toString(16)).join(':');
  };
  return {
    clientAddress: address(16),
    address: address(16 + size),
    clientPort: bytes.readUInt16BE(16 + 2 * size),
    port: bytes.readUInt16BE(18 + 2 * size),
    family,
    length: 20 + 2 * size,
  };
}

const canonical = (address: string): string | undefined => parseIp(address)?.text;

describe('the PROXY protocol header', () => {
  it('is made of the bytes that the specification says', () => {
    const header = proxyHeader({ clientAddress: '192.0.2.7', clientPort: 0x1234, address: '198.51.100.1', port: 443 });
    expect(header.toString('hex')).toBe(
      ['0d0a0d0a000d0a515549540a', '21', '11', '000c', 'c0000207', 'c6336401', '1234', '01bb'].join(''),
    );
  });

  it('is understood by a reader, whatever the addresses and ports', () => {
    const port = fc.integer({ min: 1, max: 65_535 });
    const ends = fc.oneof(fc.tuple(fc.ipV4(), fc.ipV4()), fc.tuple(fc.ipV6(), fc.ipV6()));
    fc.assert(
      fc.property(ends, port, port, ([clientAddress, address], clientPort, port) => {
        const bytes = proxyHeader({ clientAddress, clientPort, address, port });
        const read = readHeader(bytes);
        expect(bytes).toHaveLength(read.length);
        expect(read).toMatchObject({ clientPort, port });
        expect(canonical(read.clientAddress)).toBe(canonical(clientAddress));
        expect(canonical(read.address)).toBe(canonical(address));
      }),
    );
  });

  it('comes before the first byte of the client, and tells the target who that is', async () => {
    const heard: Buffer[] = [];
    const node = await startNode(cleanup, 'node-1', {
      serve: (socket) => socket.on('data', (chunk: Buffer) => heard.push(chunk)),
    });
    const world = startWorld(cleanup);
    const [address = ''] = world.pool;
    await world.reconcile(
      desiredLoadBalancer({
        members: [member({ listeners: [{ port: 8_080, nodePort: NODE_PORT }], settings: { proxyProtocol: 'v2' } })],
        nodes: nodesOf([node]),
      }),
    );
    const client = await dialClient(address, 8_080, cleanup);
    client.write('GET /');
    await until(() => Buffer.concat(heard).length >= 28 + 5, 'the target has heard it');
    const bytes = Buffer.concat(heard);
    expect(readHeader(bytes)).toMatchObject({
      clientAddress: client.localAddress,
      clientPort: client.localPort,
      address,
      port: 8_080,
    });
    expect(bytes.subarray(28).toString()).toBe('GET /');

    heard.length = 0;
    await dialClient(address, 8_080, cleanup);
    await until(() => Buffer.concat(heard).length === 28, 'the header comes without waiting for the client');
  });
});
