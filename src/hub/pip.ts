// Where pip would look for packages: PIP_INDEX_URL, then pip's configuration files, then the public index.
// https://pip.pypa.io/en/stable/topics/configuration/

import { readFile } from 'node:fs/promises';
import { devNull } from 'node:os';
import { join } from 'node:path';
import type { Env } from '../base/env.ts';

export interface PackageIndexes {
  /** Addresses of simple indexes, without a trailing slash, in the order to ask. */
  readonly urls: readonly string[];
  /** PEM text of an additional certificate authority. */
  readonly ca: string | undefined;
}

const publicIndex = 'https://pypi.org/simple';

/** Sections that apply when a package is fetched; later ones win. */
const sections = ['global', 'install', 'download'];

/** Reads the ini dialect of pip's files: sections, `key = value`, indented continuation lines, `#` and `;` comments. */
export function parsePipConfig(text: string): Map<string, string> {
  const values = new Map<string, string>();
  let section = '';
  let key: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*([#;]|$)/.test(line)) continue;
    const header = /^\[([^\]]+)\]/.exec(line);
    const pair = /^([^\s=:][^=:]*?)\s*[=:]\s*(.*)$/.exec(line);
    if (header?.[1] !== undefined) {
      section = header[1].trim();
      key = undefined;
    } else if (/^\s/.test(line) && key !== undefined) {
      values.set(key, `${values.get(key) ?? ''}\n${line.trim()}`.trim());
    } else if (pair?.[1] !== undefined) {
      key = `${section}.${pair[1].toLowerCase().replaceAll('_', '-')}`;
      values.set(key, (pair[2] ?? '').trim());
    }
  }
  return values;
}

/** pip's configuration files, least important first. */
export function pipConfigFiles(env: Env, platform: NodeJS.Platform = process.platform): string[] {
  const { pip, home } = env;
  if (pip.configFile === devNull) return [];
  const own = pip.configFile === undefined ? [] : [pip.configFile];
  if (platform === 'win32') {
    const roaming = pip.appData === undefined ? [] : [join(pip.appData, 'pip', 'pip.ini')];
    const venv = pip.virtualEnv === undefined ? [] : [join(pip.virtualEnv, 'pip.ini')];
    return ['C:\\ProgramData\\pip\\pip.ini', join(home, 'pip', 'pip.ini'), ...roaming, ...venv, ...own];
  }
  const global = pip.xdgConfigDirs.map((folder) => join(folder, 'pip', 'pip.conf')).reverse();
  const mac =
    platform === 'darwin'
      ? ['/Library/Application Support', join(home, 'Library', 'Application Support')]
      : [];
  return [
    ...global,
    '/etc/pip.conf',
    join(home, '.pip', 'pip.conf'),
    join(pip.xdgConfigHome, 'pip', 'pip.conf'),
    ...mac.map((folder) => join(folder, 'pip', 'pip.conf')),
    ...(pip.virtualEnv === undefined ? [] : [join(pip.virtualEnv, 'pip.conf')]),
    ...own,
  ];
}

const readIfThere = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').catch(() => undefined);

/** The indexes pip would ask on this machine. Files that cannot be read are as if absent. */
export async function packageIndexes(
  env: Env,
  files: readonly string[] = pipConfigFiles(env),
): Promise<PackageIndexes> {
  const config = new Map<string, string>();
  for (const text of await Promise.all(files.map(readIfThere))) {
    for (const [key, value] of parsePipConfig(text ?? '')) config.set(key, value);
  }
  const setting = (name: string): string | undefined =>
    sections
      .map((section) => config.get(`${section}.${name}`))
      .reduce((before, value) => value ?? before, undefined);
  const main = env.pip.indexUrl ?? setting('index-url') ?? publicIndex;
  const extra =
    env.pip.extraIndexUrls.length > 0
      ? env.pip.extraIndexUrls
      : (setting('extra-index-url')?.split(/\s+/) ?? []);
  const urls = [main, ...extra].filter((url) => URL.canParse(url)).map((url) => url.replace(/\/+$/, ''));
  const cert = env.pip.cert ?? setting('cert');
  return { urls: [...new Set(urls)], ca: cert === undefined ? undefined : await readIfThere(cert) };
}
