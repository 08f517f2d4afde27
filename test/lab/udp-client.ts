/**
 * Sends one UDP datagram and prints the answer. It runs as a process of its own inside a machine of the lab.
 *
 *   node udp-client.ts --host 172.30.0.200 --port 53 --message hostname
 *
 * Exit code 1 when no answer came within `--timeout-ms` (1000).
 */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '8081' },
    message: { type: 'string', default: 'hostname' },
    'timeout-ms': { type: 'string', default: '1000' },
  },
});
const socket = createSocket(isIPv6(values.host) ? 'udp6' : 'udp4');
const timer = setTimeout(() => {
  process.stderr.write(`no answer from ${values.host} port ${values.port} within ${values['timeout-ms']} ms\n`);
  process.exitCode = 1;
  socket.close();
}, Number(values['timeout-ms']));
socket.on('message', (answer) => {
  clearTimeout(timer);
  process.stdout.write(`${answer.toString().trim()}\n`);
  socket.close();
});
socket.on('error', (error) => {
  clearTimeout(timer);
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
  socket.close();
});
// Connected, so that an ICMP error (port unreachable) comes back as an error of the socket.
socket.connect(Number(values.port), values.host, () => socket.send(values.message));
