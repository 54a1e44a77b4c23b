// Addresses of files on the hub, for reading their headers without downloading them.

import type { Env } from '../base/env.ts';
import { IngotError } from '../base/errors.ts';
import { chooseFiles } from './choose.ts';
import { listHub } from './hf.ts';
import { parseName } from './names.ts';

const encoded = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

/**
 * The address of the model that `name` stands for: of its GGUF file, or of its folder, which ends in `/`. Throws not_found for unknown
 * names and when downloads are off, download_failed when the hub does not answer.
 */
export async function hubAddress(name: string, env: Env, signal?: AbortSignal): Promise<string> {
  const parsed = parseName(name);
  if (env.offline)
    throw new IngotError('not_found', `${name} is not on this machine and downloads are off (offline)`);
  if (parsed.kind === 'path') throw new IngotError('not_found', `${name}: no such file or folder`);
  const address = (repo: string, revision: string, file: string): string =>
    `${env.hfEndpoint}/${repo}/resolve/${encodeURIComponent(revision)}/${encoded(file)}`;
  if (parsed.kind === 'catalog') {
    const source = parsed.entry.sources.find((each) => each.kind === 'hub');
    if (source?.kind === 'hub') return address(source.repo, source.revision, source.file);
    throw new IngotError('not_found', `${name} is not on the hub`);
  }
  const { repo, revision, wanted } = parsed;
  const { files } = await listHub(repo, revision, env, signal);
  const choice = chooseFiles(
    files.map(({ file }) => file),
    wanted,
    repo,
  );
  return address(repo, revision, choice.kind === 'folder' ? '' : (choice.files[0] ?? ''));
}
