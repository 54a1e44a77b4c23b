// Which models a server has, by name. A request names one of them; it never names a path and never causes a download.

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { inspectModel, type ModelDetails } from '../engine/inspect.ts';
import { listCached } from '../hub/cache.ts';
import { nameOfCached } from '../hub/catalog.ts';
import { RequestError } from './problem.ts';

export interface LibraryModel {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
  /** Given when the server was started: listed first, and kept loaded. */
  readonly configured: boolean;
  /** What is loaded for it: a preset's name; default: its path. */
  readonly loads?: string | undefined;
}

/** A model that a server is told of. */
export interface GivenModel {
  readonly name: string;
  readonly path: string;
  /** What `load` is called with for it; default: its path. */
  readonly loads?: string | undefined;
}

export interface LibraryOptions {
  readonly configured: readonly GivenModel[];
  /** Hugging Face cache whose models are offered too; undefined offers none. */
  readonly cacheDir: string | undefined;
  /** Further models that may come and go, such as presets. */
  readonly others?: (() => Promise<readonly GivenModel[]>) | undefined;
  /** Further names: what a client asks for -> a model's name. `*` stands for every name that is not known. */
  readonly aliases: ReadonlyMap<string, string>;
  /** Headers of a model; a test hands in its own. */
  readonly inspect?: ((path: string) => Promise<ModelDetails>) | undefined;
}

/** Milliseconds a listing of the cache is good for. */
const LISTING_MS = 5000;

export class Library {
  readonly #options: LibraryOptions;
  readonly #details = new Map<string, Promise<ModelDetails | undefined>>();
  #listing: { readonly at: number; readonly models: Promise<readonly LibraryModel[]> } | undefined;

  constructor(options: LibraryOptions) {
    this.#options = options;
  }

  /** All models, those given at the start first. */
  list(): Promise<readonly LibraryModel[]> {
    const now = performance.now();
    if (!this.#listing || now - this.#listing.at > LISTING_MS)
      this.#listing = { at: now, models: this.#read() };
    return this.#listing.models;
  }

  /** The model a client means; the first one when it names none. Throws RequestError `not_found` with the known names. */
  async find(asked: string | undefined): Promise<LibraryModel> {
    const models = await this.list();
    const { aliases } = this.#options;
    const byName = (name: string | undefined): LibraryModel | undefined =>
      name === undefined ? undefined : models.find((model) => model.name === name);
    // Ollama's clients put this tag on a name that has none.
    const short = asked?.replace(/:latest$/, '');
    const found =
      asked === undefined || short === undefined
        ? models[0]
        : (byName(asked) ??
          byName(short) ??
          byName(aliases.get(asked) ?? aliases.get(short) ?? aliases.get('*')));
    if (found) return found;
    const names = models.map(({ name }) => name).join(', ') || 'none';
    throw new RequestError('not_found', `no model is called "${asked ?? ''}" here; there are: ${names}`, {
      param: 'model',
    });
  }

  /** What a model's headers say; undefined when they cannot be read. */
  details(model: LibraryModel): Promise<ModelDetails | undefined> {
    const key = `${model.path}\n${model.modified}`;
    let details = this.#details.get(key);
    if (!details) {
      details = (this.#options.inspect ?? inspectModel)(model.path).catch(() => undefined);
      this.#details.set(key, details);
    }
    return details;
  }

  async #read(): Promise<readonly LibraryModel[]> {
    const { configured, cacheDir, others: further } = this.#options;
    const given = await Promise.all(configured.map((model) => describe(model, true)));
    const cached = cacheDir === undefined ? [] : await listCached(cacheDir);
    const known = new Set(configured.map(({ name }) => name));
    const others = [
      ...cached.map((model) => ({
        name: nameOfCached(model),
        path: model.file === undefined ? model.folder : join(model.folder, model.file),
      })),
      ...((await further?.()) ?? []),
    ].filter(({ name }) => !known.has(name));
    return [...given, ...(await Promise.all(others.map((model) => describe(model, false))))];
  }
}

async function describe({ name, path, loads }: GivenModel, configured: boolean): Promise<LibraryModel> {
  const found = await stat(path).catch(() => undefined);
  return { name, path, configured, loads, bytes: found?.size ?? 0, modified: found?.mtimeMs ?? 0 };
}
