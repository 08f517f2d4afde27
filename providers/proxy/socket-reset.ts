import type { Socket } from 'node:net';

/**
 * Ends a socket with RST, so that the other side sees an error and not the end of the data. While a shutdown is under
 * way the kernel's linger option, by which Node resets, cannot be used (libuv, uv_tcp_close_reset), so the reset
 * waits for it; nothing is left to be written then, because the relay shuts down only what is flushed.
 */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.writableEnded && !socket.writableFinished) socket.once('finish', () => socket.resetAndDestroy());
  else socket.resetAndDestroy();
}
