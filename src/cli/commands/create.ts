// ingot create NAME: makes a preset, a model under a name of one's own with a system message, parameters, a template.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { IngotError } from '../../base/errors.ts';
import { parseModelfile } from '../../engine/presets/modelfile.ts';
import { onTopOf, type Preset } from '../../engine/presets/preset.ts';
import { findPreset, writePreset } from '../../engine/presets/store.ts';
import { type Context, printJson } from '../context.ts';
import { readAll } from '../input.ts';

export function register(program: Command, context: Context): void {
  program
    .command('create')
    .description('make a preset: a model with a system message, parameters or a template of its own')
    .argument('<name>', 'what to call it')
    .option(
      '-f, --file <path>',
      'instructions FROM, PARAMETER, SYSTEM, TEMPLATE, MESSAGE; - reads stdin',
      'Modelfile',
    )
    .option('--json', 'print one JSON document')
    .action((name: string, flags: { file: string; json?: boolean }) => create(context, name, flags));
}

async function create(
  context: Context,
  name: string,
  flags: { file: string; json?: boolean },
): Promise<void> {
  const text = flags.file === '-' ? await readAll(context.stdin, context.signal) : await readText(flags.file);
  const folder = flags.file === '-' ? '.' : dirname(flags.file);
  // A path in the file is meant from where the file is.
  const fromFolder = (from: string): string => {
    const path = resolve(folder, from);
    return existsSync(path) ? path : from;
  };
  const written = parseModelfile(text, flags.file === '-' ? 'stdin' : flags.file, fromFolder);
  const preset = await settled(context, written);
  await writePreset(name, preset, context.env);
  if (flags.json === true) printJson(context.stdout, { name, ...preset });
  else context.stdout.write(`created ${name}, a preset of ${preset.from}\n`);
}

/** `preset` as it is kept: made of a model that there can be, and not of another preset. */
export async function settled(context: Context, preset: Preset): Promise<Preset> {
  const base = await findPreset(preset.from, context.env);
  if (base) return onTopOf(base, preset);
  const { parseName } = await import('../../hub/names.ts');
  const name = parseName(preset.from);
  return name.kind === 'path' ? { ...preset, from: name.path } : preset;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new IngotError(
      'not_found',
      `${path} cannot be read: ${(cause as Error).message}; --file names another file`,
      { cause },
    );
  }
}
