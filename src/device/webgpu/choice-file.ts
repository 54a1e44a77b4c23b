// Tuned choices of an adapter as a file in the cache folder: read when a device is opened, written by the tuner.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { env } from '../../base/env.ts';
import { type AdapterIdentity, type ChoiceStore, parseChoices } from '../../kernel/tune/choices.ts';

const fileOf = ({ name }: AdapterIdentity): string =>
  join(env.cacheDir, 'gpu', `${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.json`);

/** A file that cannot be read counts as none; one is written atomically. */
export const fileChoices: ChoiceStore = {
  load(adapter) {
    try {
      return parseChoices(readFileSync(fileOf(adapter), 'utf8'));
    } catch {
      return {};
    }
  },
  save(adapter, choices) {
    const path = fileOf(adapter);
    const part = `${path}.${process.pid}.part`;
    mkdirSync(dirname(path), { recursive: true });
    try {
      writeFileSync(part, `${JSON.stringify(choices, null, 1)}\n`);
      renameSync(part, path);
    } finally {
      rmSync(part, { force: true });
    }
    return path;
  },
};
