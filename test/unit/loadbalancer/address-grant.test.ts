/** Who may choose an address. */
import { describe, expect, it } from 'vitest';
import type { AddressGrant } from '#src/loadbalancer/address-grant';
import { parseIpRange } from '#src/loadbalancer/ip-range';
import { readRequestedAddresses } from '#src/loadbalancer/requested-addresses';
import { service, type ServiceOptions } from '#test/fakes/builders';

const BOTH = [
  { family: 'IPv4', required: true },
  { family: 'IPv6', required: false },
] as const;

const grant = (range: string, ...namespaces: readonly string[]): AddressGrant => ({
  addresses: parseIpRange(range),
  namespaces,
});

function codes(options: ServiceOptions, grants: readonly AddressGrant[]): readonly string[] {
  return readRequestedAddresses(service(options), BOTH, grants).problems.map(({ code, field }) => `${code} ${field}`);
}

const asking = (addresses: string, namespace = 'shop'): ServiceOptions => ({
  metadata: { namespace, annotations: { 'ballast.dev/addresses': addresses } },
});

const ANNOTATION = 'metadata.annotations[ballast.dev/addresses]';

describe('an address that a Service asks for', () => {
  it('is refused without a grant, in either form', () => {
    expect(codes(asking('192.0.2.7'), [])).toEqual([`AddressNotAllowed ${ANNOTATION}`]);
    expect(codes({ spec: { loadBalancerIP: '192.0.2.7' } }, [])).toEqual(['AddressNotAllowed spec.loadBalancerIP']);
    expect(codes({}, [])).toEqual([]);
  });

  it('is given to the namespaces of its grant only', () => {
    const grants = [grant('192.0.2.0/28', 'shop', 'blog')];
    expect(codes(asking('192.0.2.7'), grants)).toEqual([]);
    expect(codes(asking('192.0.2.7', 'blog'), grants)).toEqual([]);
    expect(codes(asking('192.0.2.7', 'shop-2'), grants)).toHaveLength(1);
    expect(codes(asking('192.0.2.16'), grants)).toHaveLength(1);
  });

  it('needs a grant for each of two', () => {
    const v4 = grant('192.0.2.7', 'shop');
    expect(codes(asking('192.0.2.7,fd00::7'), [v4])).toHaveLength(1);
    expect(codes(asking('192.0.2.7,fd00::7'), [v4, grant('fd00::/64', 'shop')])).toEqual([]);
  });

  it('may be any, or anybody’s, where the grant says so', () => {
    expect(codes(asking('192.0.2.7'), [{ addresses: '*', namespaces: ['shop'] }])).toEqual([]);
    expect(codes(asking('192.0.2.7'), [{ ...grant('192.0.2.7'), namespaces: '*' }])).toEqual([]);
    expect(codes(asking('192.0.2.7', 'blog'), [{ addresses: '*', namespaces: ['shop'] }])).toHaveLength(1);
  });

  it('is not one of a thousand: more entries than anybody means are not read', () => {
    const many = Array.from({ length: 20_000 }, (_, index) => `10.1.${index >> 8}.${index & 255}`).join(',');
    const { problems, value } = readRequestedAddresses(service(asking(many)), BOTH, []);
    expect(value).toEqual([]);
    expect(problems).toMatchObject([{ code: 'InvalidAnnotation', message: expect.stringContaining('more than 10') }]);
  });
});
