// Short names of models: which files they stand for and where those can be had.

import { editDistance } from '../base/text.ts';
import data from './catalog.json' with { type: 'json' };
import type { Catalog, CatalogEntry, UncheckedEntry } from './catalog-schema.ts';

/** The catalog as shipped; the tests check it against its schema. */
export const catalog: Catalog = data as unknown as Catalog;

/** The entry with this name or alias. */
export const findEntry = (name: string, from: Catalog = catalog): CatalogEntry | undefined =>
  named(name, from.models);

/** The entry with this name or alias whose files nobody has checked. */
export const findUnchecked = (name: string, from: Catalog = catalog): UncheckedEntry | undefined =>
  named(name, from.unchecked);

function named<E extends { readonly name: string; readonly aliases: readonly string[] }>(
  name: string,
  entries: readonly E[],
): E | undefined {
  const wanted = name.toLowerCase();
  return entries.find((entry) => entry.name === wanted || entry.aliases.includes(wanted));
}

const mostSimilar = 3;
/** Longer names are no short names: comparing them would only cost time. */
const longestName = 64;

/** The nearest names, for "did you mean": those that a few typing errors or another size are between. */
export function similarNames(name: string, from: Catalog = catalog): string[] {
  if (name.length > longestName) return [];
  const wanted = name.toLowerCase();
  const [family = wanted] = wanted.split(':');
  return [...from.models, ...from.unchecked]
    .map((entry) => {
      const spellings = [entry.name, ...entry.aliases];
      const whole = Math.min(...spellings.map((known) => editDistance(wanted, known)));
      // What was left off at the end is no error in typing.
      const begun = spellings.some((known) => known.startsWith(wanted));
      const own = begun ? -1 : editDistance(family, entry.name.split(':')[0] ?? '');
      return { name: entry.name, distance: own + whole / longestName, own, whole };
    })
    .filter(({ own, whole }) => own <= family.length / 3 || whole <= wanted.length / 4)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, mostSimilar)
    .map((entry) => entry.name);
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
