/** Far above what etcd stores in one object (1.5 MiB); a longer line is no object but a broken stream. */
const LONGEST_LINE_BYTES = 32 * 1024 * 1024;

const NEWLINE = 0x0a;

/**
 * The JSON values of a stream that has one on each line, as a watch sends them. Works on bytes, so it does not matter
 * where the chunks are cut, also in the middle of a character. Pulls the next chunk only when all values of the
 * one before were taken, so a slow consumer slows the sender down.
 * @throws SyntaxError when a line is no JSON, or the stream ends in the middle of one.
 */
export async function* parseJsonLines<Line>(
  chunks: AsyncIterable<Uint8Array>,
  longestLineBytes: number = LONGEST_LINE_BYTES,
): AsyncGenerator<Line, void, undefined> {
  // The parts of a line are joined once, at its end: joining at each chunk is quadratic in the length of the line.
  let parts: Buffer[] = [];
  let length = 0;
  for await (const bytes of chunks) {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end));
      const line = Buffer.concat(parts).toString('utf8');
      parts = [];
      length = 0;
      start = end + 1;
      if (line.trim() !== '') yield JSON.parse(line);
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
      length += chunk.length - start;
      if (length > longestLineBytes) throw new SyntaxError(`a line is longer than ${longestLineBytes} bytes`);
    }
  }
  const rest = Buffer.concat(parts).toString('utf8');
  if (rest.trim() !== '') yield JSON.parse(rest);
}
