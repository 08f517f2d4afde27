import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { librariesOf, parseLdd } from '#image/libraries';

const LDD = `	linux-vdso.so.1 (0x00007f1e1a012000)
	libmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f1e19e8f000)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1e19c89000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f1e1a014000)
`;

describe('the libraries of a program', () => {
  it('are what ldd finds, with the loader and without what the kernel brings', () => {
    const paths = [
      '/lib/x86_64-linux-gnu/libmnl.so.0',
      '/lib/x86_64-linux-gnu/libc.so.6',
      '/lib64/ld-linux-x86-64.so.2',
    ];
    expect(parseLdd(LDD)).toEqual(paths);
    expect(parseLdd('\tstatically linked\n')).toEqual([]);
  });

  it('must all be there', () => {
    expect(() => parseLdd(`${LDD}\tlibmissing.so.1 => not found\n`)).toThrow('library libmissing.so.1 is not on this');
  });

  it('of several programs come once each, as files of this machine that can be executed', async () => {
    const files = await librariesOf([process.execPath, process.execPath]);
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual([...new Set(paths)]);
    expect(paths.some((path) => /\/libc\.so/.test(path))).toBe(true);
    for (const file of files) {
      expect(file).toMatchObject({ mode: 0o755 });
      expect('source' in file && existsSync(file.source)).toBe(true);
    }
  });
});
