// Ranges of files as devices read them where they can: Node's way.

import { close, closeSync, fstat, fstatSync, openSync, read, readSync, type Stats } from 'node:fs';
import { promisify } from 'node:util';
import { IngotError } from '../base/errors.ts';
import type { OpenFile, ReadFile } from './device.ts';

const pieceBytes = 16 << 20;

/** Pieces share their memory: each is valid until the next one is asked for. Throws bad_file when the file is too short. */
export const readFile: ReadFile = function* (path, offset, byteLength) {
  const file = openSync(path, 'r');
  try {
    const memory = new Uint8Array(Math.min(pieceBytes, byteLength));
    for (let done = 0; done < byteLength; ) {
      const wanted = Math.min(memory.byteLength, byteLength - done);
      let have = 0;
      while (have < wanted) {
        const n = readSync(file, memory, have, wanted - have, offset + done + have);
        if (n === 0) {
          throw new IngotError(
            'bad_file',
            `${path}: ends before byte ${offset + byteLength}; the file is truncated`,
          );
        }
        have += n;
      }
      yield memory.subarray(0, wanted);
      done += wanted;
    }
  } finally {
    closeSync(file);
  }
};

const readAsync = promisify(read);
const statAsync = promisify(fstat);

/** Files as streamed experts come from them. A file that was replaced by another of its name stays readable. */
export const openFile: OpenFile = (path, byteLength) => {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw new IngotError('bad_file', `${path}: cannot be opened: ${(cause as Error).message}`, { cause });
  }
  const start = fstatSync(file);
  if (start.size !== byteLength) {
    closeSync(file);
    throw new IngotError(
      'bad_file',
      `${path}: has ${start.size} bytes, ${byteLength} when it was opened: it was changed meanwhile`,
    );
  }
  return {
    async readInto(offset, target) {
      for (let done = 0; done < target.byteLength; ) {
        const { bytesRead } = await readAsync(file, target, done, target.byteLength - done, offset + done);
        if (bytesRead === 0) break; // it is shorter now, which is told below
        done += bytesRead;
      }
      const change = changed(start, await statAsync(file));
      if (change !== undefined) throw new Error(change);
    },
    close: () => close(file, () => undefined),
  };
};

function changed(then: Stats, now: Stats): string | undefined {
  if (now.size !== then.size) return 'the file changed its size while it was in use';
  return now.mtimeMs === then.mtimeMs ? undefined : 'the file was written to while it was in use';
}
