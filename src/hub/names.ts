// What a user may call a model: a path, a short name of the catalog, or a repository on the hub.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { IngotError } from '../base/errors.ts';
import { catalog, findEntry, findUnchecked, similarNames } from './catalog.ts';
import type { Catalog, CatalogEntry } from './catalog-schema.ts';

export type ModelName =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'catalog'; readonly entry: CatalogEntry }
  /** `wanted` is a file of the repository or a quantisation such as Q4_K_M. */
  | {
      readonly kind: 'hub';
      readonly repo: string;
      readonly revision: string;
      readonly wanted: string | undefined;
    };

const hubForm = /^(hf:)?(\w[\w.-]*\/\w[\w.-]*?)(?:@([\w./-]+?))?(?::([\w./ -]+))?$/;
const pathForm = /^(\.{0,2}[/\\]|~|[A-Za-z]:[/\\])|\.(gguf|ingot|safetensors)$/;

/**
 * Understands `smollm2:135m`, `hf:user/repo[@revision][:file-or-quant]`, `user/repo[...]` and paths. What exists on the disk
 * is a path. Throws not_found for anything else, with names that are similar.
 */
export function parseName(name: string, known: Catalog = catalog): ModelName {
  if (name.includes('\0'))
    throw new IngotError('invalid_argument', `${JSON.stringify(name)} is no name of a model: it has a NUL`);
  const entry = findEntry(name, known);
  if (entry) return { kind: 'catalog', entry };
  const unchecked = findUnchecked(name, known);
  if (unchecked) return { kind: 'hub', repo: unchecked.repo, revision: 'main', wanted: unchecked.wanted };
  if (!name.startsWith('hf:') && existsSync(name)) return { kind: 'path', path: resolve(name) };
  const hub = hubForm.exec(name);
  if (hub?.[2] !== undefined && (hub[1] !== undefined || hub[4] !== undefined || !pathForm.test(name))) {
    return { kind: 'hub', repo: hub[2], revision: checkedRevision(hub[3] ?? 'main'), wanted: hub[4] };
  }
  if (pathForm.test(name)) {
    throw new IngotError('not_found', `there is no file or folder ${resolve(name)}`, {
      details: { path: name },
    });
  }
  const similar = similarNames(name, known);
  const hint =
    similar.length > 0
      ? `did you mean ${similar.join(' or ')}?`
      : '"ingot list --all" shows the known names.';
  throw new IngotError(
    'not_found',
    `no model is called "${name}"; ${hint} A path, or user/repo of the hub, works too`,
    {
      details: { name },
    },
  );
}

/** Revisions become paths in the cache. */
function checkedRevision(revision: string): string {
  if (revision.split('/').every((part) => !/^\.{0,2}$/.test(part))) return revision;
  throw new IngotError('invalid_argument', `"${revision}" is no branch, tag or commit`, {
    details: { revision },
  });
}
