// The sources of a fold as typed expressions: names in scope, kinds of accumulators, and what is missing, told by name.

import { IngotError } from '../base/errors.ts';
import { cast, type Expr, input } from '../kernel/expr.ts';
import type { FoldPass, FoldProgram } from '../kernel/fold.ts';
import { type KernelSource, readSource, type Scope, typeSource } from '../kernel/language/check.ts';
import { fail } from '../kernel/language/errors.ts';
import type { RegisterKind } from '../kernel/tile-opcodes.ts';

/** An expression, or one for each name. */
export type Sources = string | Readonly<Record<string, string>>;

/** One pass over the lines. */
export interface PassOptions {
  /** The accumulators of nothing: numbers or constant expressions. A value alone is the accumulator `acc`. */
  readonly init: number | string | Readonly<Record<string, number | string>>;
  /** Accumulators with one more element: of the operands, the accumulators, `i` (place along the line, i32), `n` (its length). */
  readonly update: Sources;
  /** Two sets of accumulators as one: `a + b`, or of `a.name` and `b.name`. Associative and commutative. */
  readonly combine: Sources;
  /** The result, or results by name; default: the accumulators. */
  readonly finalize?: Sources;
}

interface ReadPass {
  readonly name: string;
  readonly accumulators: readonly string[];
  readonly init: readonly KernelSource[];
  readonly update: readonly KernelSource[];
  readonly combine: readonly KernelSource[];
  readonly finish: readonly KernelSource[];
  /** Names of its results in what comes later. */
  readonly results: readonly string[];
}

export interface ReadFold {
  readonly what: string;
  readonly inputs: readonly string[];
  readonly passes: readonly ReadPass[];
  readonly write: readonly KernelSource[] | undefined;
  /** Names of what the kernel gives; undefined: one array without a name. */
  readonly outputs: readonly (string | undefined)[];
}

interface FoldSources {
  readonly what: string;
  readonly inputs: readonly string[] | undefined;
  readonly passes: Readonly<Record<string, PassOptions>>;
  readonly write?: Sources | undefined;
}

const always = ['i', 'n'];

/** Parses every source and checks names. Throws invalid_argument for what is missing and for names that nothing defines. */
export function readFold({ what, inputs, passes, write }: FoldSources): ReadFold {
  const free: string[] = [...(inputs ?? [])];
  const before: string[] = [];
  const read = Object.entries(passes).map(([name, pass]): ReadPass => {
    const label = name === '' ? what : `${what}, pass '${name}'`;
    const init = required(pass, 'init', label, 'the accumulator of nothing, as in init: 0');
    const accumulators = typeof init === 'object' ? Object.keys(init) : ['acc'];
    required(pass, 'update', label, "the accumulator with one more element, as in update: 'acc + x'");
    required(pass, 'combine', label, "two accumulators as one, as in combine: 'a + b'");
    const scope = [...always, ...before, ...accumulators];
    const each = (
      part: 'update' | 'combine' | 'finalize',
      given: Sources,
      names: readonly string[],
      allowed?: readonly string[],
    ) => names.map((n) => sourceOf(`${part} of ${label}`, given, n, names, allowed));
    const update = each(
      'update',
      pass.update,
      accumulators,
      inputs === undefined ? undefined : [...inputs, ...scope],
    );
    for (const n of update.flatMap((s) => s.freeNames)) if (![...free, ...scope].includes(n)) free.push(n);
    const sides =
      typeof init === 'object' ? ['a', 'b'].flatMap((s) => accumulators.map((n) => `${s}.${n}`)) : ['a', 'b'];
    const combine = each('combine', pass.combine, accumulators, [...sides, 'n']);
    const finalize =
      pass.finalize ??
      (typeof init === 'object' ? Object.fromEntries(accumulators.map((n) => [n, n])) : 'acc');
    const results = typeof finalize === 'string' ? [''] : Object.keys(finalize);
    const finish = each('finalize', finalize, results, ['n', ...before, ...accumulators]);
    const named = results.map((r) => (r === '' ? name : name === '' ? r : `${name}.${r}`));
    before.push(...named);
    return {
      name,
      accumulators: typeof init === 'object' ? accumulators : ['acc'],
      init: accumulators.map((n) =>
        readSource(
          `init of ${label}`,
          String(typeof init === 'object' ? init[n] : init)
            .replace('Infinity', 'inf')
            .replace('NaN', 'nan'),
          [],
        ),
      ),
      update,
      combine,
      finish,
      results: named,
    };
  });
  const names = write === undefined ? [] : typeof write === 'string' ? [''] : Object.keys(write);
  const known = inputs === undefined ? undefined : [...inputs, ...always, ...before];
  const written =
    write === undefined ? undefined : names.map((n) => sourceOf(`write of ${what}`, write, n, names, known));
  for (const n of written?.flatMap((s) => s.freeNames) ?? [])
    if (![...free, ...always, ...before].includes(n)) free.push(n);
  const last = read.at(-1)?.results ?? [];
  const outputs = (write === undefined ? last : names).map((n) => (n === '' ? undefined : n));
  return { what, inputs: free, passes: read, write: written, outputs };
}

function required<K extends 'init' | 'update' | 'combine'>(
  pass: PassOptions,
  part: K,
  what: string,
  hint: string,
): PassOptions[K] {
  const value = pass[part] as PassOptions[K] | undefined;
  if (value === undefined || value === null)
    throw new IngotError('invalid_argument', `${what}: ${part} is missing: ${hint}`);
  return value;
}

function sourceOf(
  what: string,
  given: Sources,
  name: string,
  names: readonly string[],
  allowed: readonly string[] | undefined,
): KernelSource {
  if (typeof given !== 'string') {
    const extra = Object.keys(given).find((n) => !names.includes(n));
    if (extra !== undefined || given[name] === undefined) {
      const problem = extra === undefined ? `'${name}' is missing` : `'${extra}' is none of its names`;
      throw new IngotError(
        'invalid_argument',
        `${what}: ${problem}; give an expression for each of ${names.join(', ')}`,
      );
    }
  } else if (names.length > 1) {
    throw new IngotError('invalid_argument', `${what}: give an expression for each of ${names.join(', ')}`);
  }
  const text = typeof given === 'string' ? given : (given[name] as string);
  return readSource(what, text, allowed);
}

/** The program for operands of these kinds and lines of `n` elements. Throws invalid_argument at the character of a type error. */
export function typeFold(fold: ReadFold, operands: readonly RegisterKind[], n: number): FoldProgram {
  const xs: readonly (readonly [string, Expr])[] = fold.inputs.map((name, i) => [
    name,
    input(i, operands[i] as RegisterKind),
  ]);
  const places: readonly (readonly [string, Expr | number])[] = [
    ...xs,
    ['i', input(operands.length, 'i32')],
    ['n', n],
  ];
  let earlier: { readonly name: string; readonly kind: RegisterKind }[] = [];
  const passes = fold.passes.map((pass): FoldPass => {
    const start = pass.init.map((s) => typed(s, new Map()));
    const state = start.map((e) => e.kind);
    const shifted = (list: readonly { name: string; kind: RegisterKind }[], from: number) =>
      list.map(({ name, kind }, j): readonly [string, Expr] => [name, input(from + j, kind)]);
    const accumulators = (from: number, prefix = '') =>
      pass.accumulators.map((name, j): readonly [string, Expr] => [
        `${prefix}${name}`,
        input(from + j, state[j] as RegisterKind),
      ]);
    const first = operands.length + 1;
    const updated = new Map<string, Expr | number>([
      ...places,
      ...shifted(earlier, first),
      ...accumulators(first + earlier.length),
    ]);
    const update = pass.update.map((s, j) => likeState(s, updated, state[j] as RegisterKind));
    const alone = pass.accumulators.length === 1 && pass.accumulators[0] === 'acc';
    const sides: Scope = alone
      ? new Map<string, Expr | number>([
          ['a', input(0, state[0] as RegisterKind)],
          ['b', input(1, state[0] as RegisterKind)],
          ['n', n],
        ])
      : new Map<string, Expr | number>([
          ...accumulators(0, 'a.'),
          ...accumulators(state.length, 'b.'),
          ['n', n],
        ]);
    const combine = pass.combine.map((s, j) => likeState(s, sides, state[j] as RegisterKind));
    const finish = pass.finish.map((s) =>
      typed(
        s,
        new Map<string, Expr | number>([...accumulators(0), ...shifted(earlier, state.length), ['n', n]]),
      ),
    );
    earlier = [...earlier, ...pass.results.map((name, j) => ({ name, kind: (finish[j] as Expr).kind }))];
    return { state, start, update, combine, finish };
  });
  const results = earlier.map(({ name, kind }, j): readonly [string, Expr] => [
    name,
    input(operands.length + 1 + j, kind),
  ]);
  const write = fold.write?.map((s) => typed(s, new Map<string, Expr | number>([...places, ...results])));
  return write === undefined ? { operands, passes } : { operands, passes, write };
}

const typed = (source: KernelSource, scope: Scope, untyped?: RegisterKind): Expr => {
  const [first] = typeSource(source, scope, untyped);
  if (first === undefined || first.name !== undefined) fail(source, 0, 'one expression is needed here');
  return first.expr;
};

/** An accumulator keeps the type of its init, which numbers without a type take. */
function likeState(source: KernelSource, scope: Scope, kind: RegisterKind): Expr {
  const e = typed(source, scope, kind === 'bool' ? 'f32' : kind);
  if (e.kind === kind) return e;
  if (e.node === 'constant') return cast(e, kind);
  fail(
    source,
    0,
    `the accumulator is ${kind}, as its init, and this is ${e.kind}: convert it, or write init as ${e.kind === 'bool' ? 'false' : `${e.kind}(0)`}`,
  );
}
