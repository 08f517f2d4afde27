/** Who may choose an address: without a grant nobody, so that none takes the address that another is known by. */
import type { IpAddress } from './ip.ts';
import { rangeContains, type IpRange } from './ip-range.ts';

/** Services of these namespaces may ask for these addresses. */
export interface AddressGrant {
  readonly addresses: IpRange | '*';
  readonly namespaces: readonly string[] | '*';
}

/** Whether a Service of the namespace may ask for the address. */
export function mayAskFor(address: IpAddress, namespace: string, grants: readonly AddressGrant[]): boolean {
  return grants.some(
    ({ addresses, namespaces }) =>
      (addresses === '*' || rangeContains(addresses, address)) &&
      (namespaces === '*' || namespaces.includes(namespace)),
  );
}
