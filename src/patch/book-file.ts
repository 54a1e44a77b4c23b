// Records of this machine as a file in the cache folder.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { env } from '../base/env.ts';
import { mergeRecords, type PatternRecord, type RecordStore, recordsIn } from './book.ts';

/** A file that cannot be read counts as none; one is written atomically. */
export const fileRecords = (path = join(env.cacheDir, 'patterns.json')): RecordStore => ({
  load: () => read(path),
  save(records) {
    const part = `${path}.${process.pid}.part`;
    try {
      mkdirSync(dirname(path), { recursive: true });
      const all = mergeRecords(read(path), records);
      writeFileSync(part, `[\n${all.map((r) => ` ${JSON.stringify(r)}`).join(',\n')}\n]\n`);
      renameSync(part, path);
      return path;
    } catch {
      rmSync(part, { force: true });
      return undefined;
    }
  },
});

function read(path: string): readonly PatternRecord[] {
  try {
    return recordsIn(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return [];
  }
}
