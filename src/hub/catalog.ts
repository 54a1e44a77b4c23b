// Short names of models: which files they stand for and where those can be had.

import data from './catalog.json' with { type: 'json' };
import type { Catalog, CatalogEntry } from './catalog-schema.ts';

/** The catalog as shipped; the tests check it against its schema. */
export const catalog: Catalog = data as unknown as Catalog;

/** The entry with this name or alias. */
export function findEntry(name: string, from: Catalog = catalog): CatalogEntry | undefined {
  const wanted = name.toLowerCase();
  return from.models.find((entry) => entry.name === wanted || entry.aliases.includes(wanted));
}

/** Names that start alike, for "did you mean". */
export function similarNames(name: string, from: Catalog = catalog): string[] {
  const start = name.toLowerCase().slice(0, 3);
  return from.models.map((entry) => entry.name).filter((known) => known.startsWith(start));
}

/** The entry that a cached hub file belongs to. */
export function entryOfFile(
  repo: string,
  commit: string,
  file: string | undefined,
): CatalogEntry | undefined {
  return catalog.models.find((entry) =>
    entry.sources.some(
      (source) =>
        source.kind === 'hub' && source.repo === repo && source.revision === commit && source.file === file,
    ),
  );
}

/** What a model of the cache is called: its short name, else `user/repo[:file]`. */
export const nameOfCached = (model: {
  readonly repo: string;
  readonly commit: string;
  readonly file: string | undefined;
}): string =>
  entryOfFile(model.repo, model.commit, model.file)?.name ??
  `${model.repo}${model.file === undefined ? '' : `:${model.file}`}`;
