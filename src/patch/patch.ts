// patch: chooses the fusions of a model, function or module, says what they did, and takes them back.

import type { NDArray } from '../array/array.ts';
import type { Outputs } from '../array/compile.ts';
import { setPatch } from '../array/patched.ts';
import {
  allPatterns,
  namesIn,
  type PatternChoice,
  type PatternCounts,
  type PatternName,
  type PatternSet,
  patternName,
  patternNames,
  resolvePatterns,
} from '../array/patterns.ts';
import { IngotError } from '../base/errors.ts';
import { type PatchableModel, targetOf } from './target.ts';

/** What can be patched beside a model: what `compile` of `ingot/array` takes. Its plans compiled from then on are meant. */
export type PatchableFunction =
  // biome-ignore lint/suspicious/noExplicitAny: any function of named arrays
  ((inputs: any) => Outputs) | { forward(...inputs: NDArray[]): Outputs };

export interface PatchOptions {
  /**
   * A list has exactly those fusions, an object switches single ones on or off. Default: what records of measurements advise
   * for such a model on such a device; all for a function or module.
   */
  readonly patterns?: PatternChoice | undefined;
  /** Taken away from those. */
  readonly exclude?: readonly PatternName[] | undefined;
  /**
   * `training` leaves out what only serves generating: the cache, single rows, rows that are taken. Gradients stay right with
   * any fusion, because they are made before it. Models of the engine generate only.
   */
  readonly mode?: 'inference' | 'training' | undefined;
}

/** Fusions that only serve generating. */
const generatingOnly: readonly PatternName[] = ['take_norm', 'rope_kv', 'chains'];

export interface PatchReport {
  /** Name of the model, or of the function or module. */
  readonly target: string;
  /** The fusions that may be used, and how often each applied. 0: it found nothing. */
  readonly patterns: Readonly<Partial<Record<PatternName, number>>>;
  /** Dispatches of a step before and after; undefined for a function or module. */
  readonly dispatches: { readonly before: number; readonly after: number } | undefined;
  /** The report as lines of text. */
  toString(): string;
}

/** A model, function or module that was patched. */
export interface Patch {
  readonly patterns: readonly PatternName[];
  report(): PatchReport;
  /** As `unpatch` of what was patched. */
  unpatch(): Promise<void>;
}

const patched = new WeakSet<object>();

/**
 * Chooses the fusions of a loaded model, or of a function or module that `compile` takes; `trainingStep` takes those of its
 * module. What is asked of a model meanwhile waits.
 * @throws IngotError `invalid_argument` for an unknown pattern (with the nearest name), one asked for by name that matches
 *   nothing, what is patched already, and a model in use; `unsupported` for a model in mode `training`. After a failure the
 *   plan is the one before.
 */
export async function patch(
  target: PatchableModel | PatchableFunction,
  options: PatchOptions = {},
): Promise<Patch> {
  checkMode(target, options);
  if (patched.has(target)) {
    throw new IngotError(
      'invalid_argument',
      `${nameOf(target)} is patched already: take that back with unpatch() first`,
    );
  }
  const defaults = isModel(target) ? targetOf(target).defaults : allPatterns;
  const chosen = choose(options, defaults);
  const wanted = wantedIn(options).filter((name) => chosen.has(name));
  if (!isModel(target)) return patchFunction(target, chosen, wanted);
  checkIdle(target, 'patch');
  patched.add(target); // before the wait, so that a second call is told at once
  try {
    return await patchModel(target, chosen, wanted);
  } catch (error) {
    patched.delete(target);
    throw error;
  }
}

/**
 * Every op as it was written, one dispatch each: the plan that `load(name, { patterns: [] })` gives, or for a function or
 * module that `compile(fn, { patterns: [] })` gives.
 * @throws IngotError `invalid_argument` for a model in use.
 */
export async function unpatch(target: PatchableModel | PatchableFunction): Promise<void> {
  checkTarget(target, 'unpatch');
  if (isModel(target)) {
    checkIdle(target, 'unpatch');
    const none: PatternSet = new Set();
    await targetOf(target).use(none);
    targetOf(target).keepOnly(none);
  } else setPatch(target, { patterns: new Set(), wanted: [], onPlan: () => undefined });
  patched.delete(target);
}

/** Throws for a model with generations that run or wait. */
export function checkIdle(model: PatchableModel, doing: string): void {
  const { busy } = targetOf(model);
  if (busy === 0) return;
  throw new IngotError(
    'invalid_argument',
    `${model.info.name} is in use by ${busy} generations: ${doing} it when they have ended`,
    { details: { busy } },
  );
}

/** Marks a model whose fusions were chosen some other way. */
export function handleOf(model: PatchableModel, before: number): Patch {
  patched.add(model);
  const { patterns } = targetOf(model);
  return {
    patterns: namesIn(patterns),
    report: () => {
      const { counts, dispatches } = targetOf(model);
      return reportOf(model.info.name, patterns, counts, { before, after: dispatches });
    },
    unpatch: () => unpatch(model),
  };
}

async function patchModel(
  model: PatchableModel,
  chosen: PatternSet,
  wanted: readonly PatternName[],
): Promise<Patch> {
  const target = targetOf(model);
  const { patterns: old, dispatches } = target;
  await target.use(chosen);
  const idle = wanted.find((name) => target.counts[name] === undefined);
  if (idle !== undefined) {
    await target.use(old);
    target.keepOnly(old);
    throw new IngotError(
      'invalid_argument',
      `pattern ${idle} matches nothing in ${model.info.name} on ${target.place.device}: leave it out`,
      { details: { pattern: idle } },
    );
  }
  target.keepOnly(chosen);
  return handleOf(model, dispatches);
}

/** Plans of the target made from now on use these; one in which a wanted pattern finds nothing is refused. */
export function patchFunction(
  target: PatchableFunction,
  chosen: PatternSet,
  wanted: readonly PatternName[],
): Patch {
  patched.add(target);
  let counts: PatternCounts = {};
  const onPlan = (found: PatternCounts): void => {
    counts = Object.fromEntries(
      patternNames.flatMap((name) => {
        const sum = (counts[name] ?? 0) + (found[name] ?? 0);
        return sum > 0 ? [[name, sum]] : [];
      }),
    );
  };
  setPatch(target, { patterns: chosen, wanted, onPlan });
  return {
    patterns: namesIn(chosen),
    report: () => reportOf(nameOf(target), chosen, counts, undefined),
    unpatch: () => unpatch(target),
  };
}

function reportOf(
  target: string,
  patterns: PatternSet,
  counts: PatternCounts,
  dispatches: PatchReport['dispatches'],
): PatchReport {
  const names = namesIn(patterns);
  return {
    target,
    patterns: Object.fromEntries(names.map((name) => [name, counts[name] ?? 0])),
    dispatches,
    toString() {
      const width = Math.max(0, ...names.map((name) => name.length));
      const change =
        dispatches === undefined ? '' : `, ${dispatches.before} -> ${dispatches.after} dispatches`;
      const found = names.filter((name) => counts[name] !== undefined);
      const lines = found.map((name) => `  ${name.padEnd(width)}  ${counts[name]}`);
      const idle = names.filter((name) => counts[name] === undefined);
      if (idle.length > 0) lines.push(`  nothing found for ${idle.join(', ')}`);
      return [`${target}: ${found.length} of ${names.length} patterns applied${change}`, ...lines].join('\n');
    },
  };
}

export const isModel = (target: object): target is PatchableModel =>
  'info' in target && 'generate' in target && typeof target.generate === 'function';

export function nameOf(target: PatchableModel | PatchableFunction): string {
  if (isModel(target)) return target.info.name;
  return (typeof target === 'function' ? target.name : target.constructor.name) || 'the function';
}

function choose(
  { patterns, exclude = [], mode = 'inference' }: PatchOptions,
  defaults: PatternSet,
): PatternSet {
  const chosen = new Set(resolvePatterns(patterns, defaults));
  const without =
    mode === 'training' ? [...exclude.map(patternName), ...generatingOnly] : exclude.map(patternName);
  for (const name of without) chosen.delete(name);
  return chosen;
}

/** The patterns that were asked for by name. */
function wantedIn({ patterns }: PatchOptions): readonly PatternName[] {
  if (patterns === undefined) return [];
  if (Array.isArray(patterns)) return patterns as readonly PatternName[];
  return patternNames.filter((name) => (patterns as Partial<Record<PatternName, boolean>>)[name] === true);
}

const isPatchable = (target: unknown): target is PatchableModel | PatchableFunction =>
  typeof target === 'function' ||
  (typeof target === 'object' && target !== null && ('forward' in target || isModel(target)));

function checkTarget(target: unknown, caller: 'patch' | 'unpatch'): void {
  if (isPatchable(target)) return;
  throw new IngotError(
    'invalid_argument',
    `${caller} takes a loaded model, a function or a module with a forward method, got ${String(target)}`,
  );
}

function checkMode(target: PatchableModel | PatchableFunction, { mode = 'inference' }: PatchOptions): void {
  checkTarget(target, 'patch');
  if (mode !== 'inference' && mode !== 'training') {
    throw new IngotError('invalid_argument', `mode must be 'inference' or 'training', got ${String(mode)}`);
  }
  if (mode === 'training' && isModel(target)) {
    throw new IngotError(
      'unsupported',
      "models of the engine have no gradients, so there is no mode 'training' for them: patch the function or module that you train",
    );
  }
}
