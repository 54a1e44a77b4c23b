// The names of fusions, and which of them a plan may use. What each one matches is in graph/fusion/.

import { IngotError } from '../base/errors.ts';
import { nearest } from '../base/text.ts';

/** What every fusion does, by its name. */
export const patternTable = {
  norms: 'x · rsqrt(mean(x²) + eps) and (x - mean) · rsqrt(var + eps), written out, as one norm',
  router: 'softmax and top-k of router logits, written out, as one choice of experts',
  take_norm: 'a norm of the rows that are taken only',
  swiglu_mlp: 'silu(x Gᵀ) · (x Uᵀ) in one matrix product',
  geglu_mlp: 'gelu(x Gᵀ) · (x Uᵀ) in one matrix product, with tanh or erf',
  moe_mlp: 'gate and up of the chosen experts in one pass, down and the weighted sum in another',
  merge_linears: 'matrix products of one input, such as q, k and v, as one',
  linear_norm: 'a norm inside the matrix product that follows it',
  linear_residual: 'an addition inside the matrix product before it',
  moe_residual: 'an addition inside the weighted sum of experts before it',
  residual_norm: 'an addition and the norm behind it in one pass over each row',
  norm_residual: 'a norm and the addition behind it in one pass over each row',
  rope_norm: 'norms of queries and keys inside their rotation',
  rope_kv: 'rotation of queries and keys and the write to the cache in one pass',
  elementwise: 'chains of elementwise operations in one pass over memory',
  chains: 'on a GPU, the dispatches of a block as phases of one, where a step has one row',
} as const satisfies Readonly<Record<string, string>>;

/** Patterns without which another finds little or nothing to do: they make what it looks for. */
export const patternNeeds: Readonly<
  Partial<Record<keyof typeof patternTable, readonly (keyof typeof patternTable)[]>>
> = {
  linear_norm: ['swiglu_mlp', 'geglu_mlp', 'merge_linears', 'take_norm'],
  moe_residual: ['moe_mlp'],
};

export type PatternName = keyof typeof patternTable;

/** All names, in the order in which a graph is rewritten. */
export const patternNames = Object.keys(patternTable) as readonly PatternName[];

/**
 * Which fusions a plan may use: a list has exactly those of it (none when it is empty), an object switches single ones on
 * or off and leaves the others as they are by default.
 */
export type PatternChoice = readonly PatternName[] | Readonly<{ [K in PatternName]?: boolean | undefined }>;

export type PatternSet = ReadonlySet<PatternName>;

/** Every pattern: what a plan uses unless it is told otherwise. */
export const allPatterns: PatternSet = new Set(patternNames);

/** How often each pattern applied; those that did not are left out. */
export type PatternCounts = Readonly<Partial<Record<PatternName, number>>>;

const isList = (choice: PatternChoice): choice is readonly PatternName[] => Array.isArray(choice);

/**
 * The patterns that a choice means, where `defaults` holds what it does not say.
 * @throws IngotError `invalid_argument` for what is no choice, and for a name that there is not, with the nearest.
 */
export function resolvePatterns(
  choice: PatternChoice | undefined,
  defaults: PatternSet = allPatterns,
): PatternSet {
  if (choice === undefined) return defaults;
  if (typeof choice !== 'object' || choice === null) {
    throw new IngotError(
      'invalid_argument',
      `patterns must be a list of names or an object such as { rope_kv: false }, got ${String(choice)}`,
      { details: { argument: 'patterns' } },
    );
  }
  if (isList(choice)) return new Set(choice.map(patternName));
  const chosen = new Set(defaults);
  for (const [name, on] of Object.entries(choice)) {
    const pattern = patternName(name);
    if (on === undefined) continue;
    if (typeof on !== 'boolean') {
      throw new IngotError('invalid_argument', `patterns.${name} must be true or false, got ${String(on)}`, {
        details: { argument: `patterns.${name}` },
      });
    }
    if (on) chosen.add(pattern);
    else chosen.delete(pattern);
  }
  return chosen;
}

/** The name, if there is such a pattern. Throws `invalid_argument` with the nearest name otherwise. */
export function patternName(name: unknown): PatternName {
  if (typeof name === 'string' && Object.hasOwn(patternTable, name)) return name as PatternName;
  const close = nearest(String(name), patternNames);
  const hint = close === undefined ? `there are ${patternNames.join(', ')}` : `did you mean ${close}?`;
  throw new IngotError('invalid_argument', `there is no pattern "${String(name)}"; ${hint}`, {
    details: { name, nearest: close, names: patternNames },
  });
}

/** A set as the part of a key that differs between sets. */
export const patternKey = (patterns: PatternSet): string =>
  patternNames.map((name) => (patterns.has(name) ? '1' : '0')).join('');

/** The names in a set, in the order of the table. */
export const namesIn = (patterns: PatternSet): readonly PatternName[] =>
  patternNames.filter((name) => patterns.has(name));
