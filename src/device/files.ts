// Ranges of files as devices read them where they can: Node's way.

import { closeSync, openSync, readSync } from 'node:fs';
import { IngotError } from '../base/errors.ts';
import type { ReadFile } from './device.ts';

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
