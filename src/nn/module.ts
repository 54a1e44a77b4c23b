// Module: a tree of layers whose parameters have names. Properties that are arrays are parameters, properties that are modules are
// children, and lists and plain objects hold more of both. A path joins the names with dots: `layers.0.attention.queryProj.weight`.

import { NDArray } from '../array/array.ts';
import { holdings, isolate } from '../array/lifetime.ts';
import { IngotError } from '../base/errors.ts';
import { formatShape, sameShape } from '../base/shape.ts';
import { entriesOf, type Holder, isContainer, joinPath, put } from './tree.ts';

/** Arrays by the paths of parameters. */
export type Parameters = Readonly<Record<string, NDArray>>;

/** A module from one array to one. */
export interface Layer extends Module {
  forward(x: NDArray): NDArray;
}

/** A place that holds a parameter. */
interface Slot {
  readonly path: string;
  readonly array: NDArray;
  readonly trainable: boolean;
  set(x: NDArray): void;
}

export interface FreezeOptions {
  /** Whether the modules below are meant too. Default true. */
  readonly recurse?: boolean;
  /** Names of parameters, as `weight`; default all. */
  readonly keys?: string | readonly string[];
}

export interface UpdateOptions {
  /** Whether every parameter must be given. Default false. */
  readonly strict?: boolean;
}

export abstract class Module {
  readonly #frozen = new Set<string>();
  #training = true;

  /** Whether layers such as Dropout and BatchNorm behave as they do in training. */
  get training(): boolean {
    return this.#training;
  }

  /** Own arrays that are kept with the parameters but never trained, such as running means. */
  protected get buffers(): readonly string[] {
    return [];
  }

  /** All arrays of the tree by path; one that lies in several places has the path of the first. */
  parameters(): Parameters {
    return Object.fromEntries(slotsOf(this).map((s) => [s.path, s.array]));
  }

  /** The parameters that are not frozen. */
  trainableParameters(): Parameters {
    return Object.fromEntries(slotsOf(this).flatMap((s) => (s.trainable ? [[s.path, s.array]] : [])));
  }

  /** Number of elements of all parameters. */
  get parameterCount(): number {
    return slotsOf(this).reduce((n, s) => n + s.array.shape.reduce<number>((p, d) => p * Number(d), 1), 0);
  }

  /** Modules right below this one, by path. */
  children(): readonly (readonly [path: string, module: Module])[] {
    const found: [string, Module][] = [];
    const visit = (holder: object, path: string): void => {
      for (const [key, value] of entriesOf(holder)) {
        const at = joinPath(path, key);
        if (value instanceof Module) found.push([at, value]);
        else if (isContainer(value)) visit(value, at);
      }
    };
    visit(this, '');
    return found;
  }

  /** This module (path '') and all below, parents first; one in several places has the path of the first. */
  namedModules(): readonly (readonly [path: string, module: Module])[] {
    return walk(this);
  }

  /** All modules of the tree. */
  modules(): readonly Module[] {
    return walk(this).map(([, m]) => m);
  }

  /** The module at a path. Throws not_found with the names that are there. */
  module(path: string): Module {
    const found = walk(this).find(([at]) => at === path);
    if (found !== undefined) return found[1];
    throw new IngotError('not_found', `${this.constructor.name} has no module ${path}; ${near(this, path)}`);
  }

  /** Puts another module in place of the one at `path` and returns the old one. */
  replace(path: string, module: Module): Module {
    const { holder, key, old } = holderOf(this, path);
    if (walk(module).some(([, m]) => m === this)) {
      throw new IngotError(
        'invalid_argument',
        `replace: the module for ${path} holds the tree it would be put into`,
      );
    }
    put(holder, key, module);
    return old;
  }

  /** Calls `f` for every module below, children first, and puts what it returns in its place; undefined leaves it. Returns this. */
  mapModules(f: (module: Module, path: string) => Module | undefined): this {
    for (const [path, module] of [...walk(this)].reverse()) {
      if (path === '') continue;
      const other = f(module, path);
      if (other !== undefined && other !== module) this.replace(path, other);
    }
    return this;
  }

  /**
   * Puts arrays in place of parameters, by path; they belong to the module from now on, whatever scope they were made in. Throws
   * not_found for a path that there is not (and, when `strict`, for one that is not given), shape_mismatch for another shape.
   */
  update(parameters: Parameters, { strict = false }: UpdateOptions = {}): this {
    const slots = allSlots(this);
    const known = new Map(slots.map((s) => [s.path, s]));
    for (const [path, array] of Object.entries(parameters)) {
      const slot = known.get(path);
      if (slot === undefined) {
        throw new IngotError(
          'not_found',
          `${this.constructor.name} has no parameter ${path}; ${near(this, path)}`,
        );
      }
      if (!sameShape(slot.array.shape, array.shape)) {
        throw new IngotError(
          'shape_mismatch',
          `parameter ${path} has shape ${formatShape(slot.array.shape)}, got ${formatShape(array.shape)}`,
        );
      }
    }
    const missing = slots.find((s) => !(s.path in parameters) && this.#first(slots, s));
    if (strict && missing !== undefined) {
      throw new IngotError(
        'not_found',
        `parameter ${missing.path} is missing among the ${Object.keys(parameters).length} given`,
      );
    }
    const put = new Map(Object.entries(parameters).map(([path, x]) => [known.get(path)?.array, x]));
    for (const slot of slots) {
      const x = put.get(slot.array); // an array in several places stays shared
      if (x === undefined) continue;
      isolate(x);
      slot.set(x);
    }
    return this;
  }

  #first(slots: readonly Slot[], slot: Slot): boolean {
    return slots.find((s) => s.array === slot.array) === slot;
  }

  /** Puts `f` of every parameter in its place. */
  mapParameters(f: (x: NDArray, path: string) => NDArray): this {
    return this.update(Object.fromEntries(slotsOf(this).map((s) => [s.path, f(s.array, s.path)])));
  }

  /** Keeps parameters out of trainableParameters. */
  freeze(options: FreezeOptions = {}): this {
    return this.#mark(options, (frozen, key) => frozen.add(key));
  }

  /** Puts frozen parameters back. Buffers, such as the running means of BatchNorm, are never trained. */
  unfreeze(options: FreezeOptions = {}): this {
    return this.#mark(options, (frozen, key) => frozen.delete(key));
  }

  #mark({ recurse = true, keys }: FreezeOptions, mark: (frozen: Set<string>, key: string) => void): this {
    const wanted = typeof keys === 'string' ? [keys] : keys;
    const modules = recurse ? this.modules() : [this];
    let found = false;
    for (const module of modules) {
      for (const { path } of ownSlots(module)) {
        if (wanted !== undefined && !wanted.includes(path)) continue;
        mark(module.#frozen, path);
        found = true;
      }
    }
    if (!found && wanted !== undefined) {
      throw new IngotError(
        'not_found',
        `${this.constructor.name} has no parameter named ${wanted.join(' or ')}`,
      );
    }
    return this;
  }

  /** Whether an own parameter is trained. */
  isTrainable(key: string): boolean {
    return !this.#frozen.has(key) && !this.buffers.includes(key);
  }

  /** Switches the whole tree to training, or with `false` to evaluation. */
  train(mode = true): this {
    for (const module of this.modules()) module.#training = mode;
    return this;
  }

  /** Switches the whole tree to evaluation. */
  eval(): this {
    return this.train(false);
  }

  /** Runs `fn` with other parameters in place, and puts the old ones back. */
  withParameters<T>(parameters: Parameters, fn: () => T): T {
    const slots = allSlots(this);
    const before = new Map<NDArray, NDArray>();
    for (const slot of slots) {
      const other = parameters[slot.path];
      if (other !== undefined) before.set(slot.array, other);
    }
    const unknown = Object.keys(parameters).find((path) => !slots.some((s) => s.path === path));
    if (unknown !== undefined) {
      throw new IngotError(
        'not_found',
        `${this.constructor.name} has no parameter ${unknown}; ${near(this, unknown)}`,
      );
    }
    for (const slot of slots) slot.set(before.get(slot.array) ?? slot.array);
    try {
      return fn();
    } finally {
      for (const slot of slots) slot.set(slot.array);
    }
  }

  /** Parameters of a module that a scope returns outlive the scope. */
  [holdings](): readonly NDArray[] {
    return slotsOf(this).map((s) => s.array);
  }

  /** Frees the parameters, and what else modules of the tree own. */
  dispose(): void {
    for (const { array } of slotsOf(this)) array.dispose();
    for (const module of this.modules()) module.release();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
  /** What dispose() frees beside arrays: for modules that own packed weights. */
  protected release(): void {}

  toString(): string {
    const below = this.children().map(([path, m]) => `(${path}): ${m.toString()}`);
    const shapes = ownSlots(this).map((s) => `${s.path} ${formatShape(s.array.shape)}`);
    const head = `${this.constructor.name}(${shapes.join(', ')})`;
    return below.length === 0 ? head : `${head} {\n${below.join('\n').replace(/^/gm, '  ')}\n}`;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

/** Modules of a tree with their paths, parents first. Throws invalid_argument for one that holds itself. */
function walk(root: Module): readonly (readonly [string, Module])[] {
  const seen = new Set<Module>();
  const above: Module[] = [];
  const found: [string, Module][] = [];
  const visit = (module: Module, path: string): void => {
    if (above.includes(module)) {
      throw new IngotError(
        'invalid_argument',
        `a tree of modules goes in circles: ${path} is ${root === module ? 'the root' : 'above itself'}`,
      );
    }
    if (seen.has(module)) return;
    seen.add(module);
    found.push([path, module]);
    above.push(module);
    for (const [at, child] of module.children()) visit(child, joinPath(path, at));
    above.pop();
  };
  visit(root, '');
  return found;
}

/** Parameters that a module holds itself. */
function ownSlots(module: Module): readonly Slot[] {
  const slots: Slot[] = [];
  const visit = (holder: object, path: string): void => {
    for (const [key, value] of entriesOf(holder)) {
      const at = joinPath(path, key);
      if (value instanceof NDArray) {
        slots.push({
          path: at,
          array: value,
          trainable: module.isTrainable(at),
          set: (x) => put(holder, key, x),
        });
      } else if (isContainer(value)) visit(value, at);
    }
  };
  visit(module, '');
  return slots;
}

const allSlots = (root: Module): readonly Slot[] =>
  walk(root).flatMap(([path, module]) =>
    ownSlots(module).map((s) => ({ ...s, path: joinPath(path, s.path) })),
  );

/** One slot for each array. */
function slotsOf(root: Module): readonly Slot[] {
  const seen = new Set<NDArray>();
  return allSlots(root).filter((s) => !seen.has(s.array) && seen.add(s.array));
}

/** The object that holds the module at `path`. */
function holderOf(
  root: Module,
  path: string,
): { readonly holder: Holder; readonly key: string; readonly old: Module } {
  const names = path.split('.');
  let at: unknown = root;
  for (const name of names.slice(0, -1))
    at = typeof at === 'object' && at !== null ? (at as Holder)[name] : undefined;
  const key = names.at(-1) ?? '';
  const old = typeof at === 'object' && at !== null ? (at as Holder)[key] : undefined;
  if (old instanceof Module) return { holder: at as Holder, key, old };
  throw new IngotError(
    'not_found',
    `${root.constructor.name} has no module ${path || "''"} to replace; ${near(root, path)}`,
  );
}

/** Names of a tree that begin as a wrong one does, for messages. */
function near(root: Module, path: string): string {
  const names = [...walk(root).map(([at]) => at), ...allSlots(root).map((s) => s.path)].filter(
    (n) => n !== '',
  );
  const first = path.split('.')[0] ?? '';
  const like = names.filter((n) => n.startsWith(first));
  const shown = (like.length > 0 ? like : names).slice(0, 8);
  return shown.length === 0
    ? 'it has none'
    : `it has ${shown.join(', ')}${names.length > shown.length ? ', …' : ''}`;
}
