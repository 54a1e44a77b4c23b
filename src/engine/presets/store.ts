// The presets of this machine: a small file each, under the user's data.

import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Env } from '../../base/env.ts';
import { IngotError } from '../../base/errors.ts';
import { findEntry, findUnchecked } from '../../hub/catalog.ts';
import { formatModelfile, parseModelfile } from './modelfile.ts';
import type { Preset } from './preset.ts';

type DataEnv = Pick<Env, 'dataDir'>;

const ending = '.modelfile';
const folderOf = ({ dataDir }: DataEnv): string => join(dataDir, 'presets');
const fileOf = (name: string, env: DataEnv): string =>
  join(folderOf(env), `${encodeURIComponent(name)}${ending}`);

/** A tag that Ollama's users may put behind a name that has none. */
const plainName = (name: string): string => name.replace(/:latest$/, '');

/** The preset of a name; undefined when there is none. Throws FileFormatError for a file that was damaged. */
export async function findPreset(name: string, env: DataEnv): Promise<Preset | undefined> {
  const path = fileOf(plainName(name), env);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A name too long for a file is none of ours either.
    if (code === 'ENOENT' || code === 'ENAMETOOLONG' || code === 'ENOTDIR') return undefined;
    throw error;
  }
  return parseModelfile(text, path);
}

/** Keeps a preset, in place of one that had its name. Throws invalid_argument for a name that cannot be used. */
export async function writePreset(name: string, preset: Preset, env: DataEnv): Promise<void> {
  checkName(name);
  const path = fileOf(plainName(name), env);
  const text = formatModelfile(preset);
  await mkdir(folderOf(env), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, text, { mode: 0o600 });
  await rename(part, path);
}

/** False when there was none. */
export async function removePreset(name: string, env: DataEnv): Promise<boolean> {
  try {
    await rm(fileOf(plainName(name), env));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** All of them, by name. Those whose file was damaged are left out. */
export async function listPresets(
  env: DataEnv,
): Promise<readonly { readonly name: string; readonly preset: Preset }[]> {
  const files = (await readdir(folderOf(env)).catch(() => [])).filter((file) => file.endsWith(ending)).sort();
  const found = await Promise.all(
    files.map(async (file) => {
      const name = decodeURIComponent(file.slice(0, -ending.length));
      const preset = await findPreset(name, env).catch(() => undefined);
      return preset && { name, preset };
    }),
  );
  return found.filter((each) => each !== undefined);
}

/** The model behind a name: what a preset is made of, or the name itself. */
export const baseOf = async (name: string, env: DataEnv): Promise<string> =>
  (await findPreset(name, env))?.from ?? name;

function checkName(name: string): void {
  const refuse = (problem: string): never => {
    throw new IngotError('invalid_argument', `"${name}" cannot be a preset's name: ${problem}`, {
      details: { name },
    });
  };
  if (!/^\w[\w.-]*(\/\w[\w.-]*)*(:\w[\w.-]*)?$/.test(name) || name.length > 200)
    refuse('use letters, digits, ".", "-", "_", with a ":tag" behind it if you like');
  if (/\.(gguf|ingot|safetensors)$/i.test(name)) refuse('it looks like a file');
  if (findEntry(name) || findUnchecked(name)) refuse('a model of the catalog has it');
}
