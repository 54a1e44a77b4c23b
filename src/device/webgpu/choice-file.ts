// Tuned choices of an adapter as a file in the cache folder: read when a device is opened, written by the tuner.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { env } from '../../base/env.ts';
import { type AdapterIdentity, ChoiceBook, type Choices } from '../../kernel/tune/choices.ts';
import { shippedChoices } from '../../kernel/tune/shipped.ts';

const fileOf = ({ name }: AdapterIdentity): string =>
  join(env.cacheDir, 'gpu', `${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.json`);

/** What is known of an adapter. A file that cannot be read counts as none. */
export function fileChoices(adapter: AdapterIdentity): ChoiceBook {
  return new ChoiceBook(readChoices(fileOf(adapter)), shippedChoices(adapter.name));
}

function readChoices(path: string): Choices {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) return {};
    return Object.fromEntries(
      Object.entries(parsed).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    );
  } catch {
    return {};
  }
}

/** Writes the choices of an adapter, atomically; returns the path. */
export function saveChoices(adapter: AdapterIdentity, choices: Choices): string {
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
}
