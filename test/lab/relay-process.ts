/**
 * The other half of relay.ts: run as `node relay-process.ts HOST PORT`, gets a listening socket from its parent and
 * carries every connection to HOST:PORT as seen from its own network namespace.
 */
import { connect, Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream';

const [host = '', port = ''] = process.argv.slice(2);

process.once('message', (_message, server) => {
  if (!(server instanceof Server)) throw new Error('The parent process handed over no listening socket');
  server.on('connection', carry);
  process.send?.('ready');
});

function carry(client: Socket): void {
  const target = connect({ host, port: Number(port), noDelay: true });
  // A broken connection ends its pair; neither end of it is this process's own affair.
  pipeline(client, target, () => undefined);
  pipeline(target, client, () => undefined);
}
