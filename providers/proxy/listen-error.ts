import { BallastError } from '#src/errors';
import { endpointKey, type Endpoint } from './listener-spec.ts';

/** Why a socket could not listen, in words that tell what to do. */
export function listenError(endpoint: Endpoint, error: NodeJS.ErrnoException): BallastError {
  const where = endpointKey(endpoint);
  switch (error.code) {
    case 'EADDRNOTAVAIL':
      return new BallastError(
        'AddressNotLocal',
        `${endpoint.address} is not on this machine, so nothing can listen on ${where}: add it to an interface, let ` +
          'Ballast do that with --proxy-interface, or take it out of --proxy-addresses.',
        { cause: error },
      );
    case 'EADDRINUSE':
      return new BallastError('ListenFailed', `${where} is taken by another process; see \`ss -ltnup\`.`, {
        cause: error,
      });
    case 'EACCES':
      return new BallastError(
        'ListenFailed',
        `No permission to listen on ${where}; it takes CAP_NET_BIND_SERVICE, or the sysctl ` +
          'net.ipv4.ip_unprivileged_port_start.',
        { cause: error },
      );
    default:
      return new BallastError('ListenFailed', `Cannot listen on ${where}: ${error.message}`, { cause: error });
  }
}
