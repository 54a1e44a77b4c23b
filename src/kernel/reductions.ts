// What reductions compute, in the expression language: accumulators that start somewhere, take in elements, join each
// other, and give a result. Devices make their kernels from this; any order of joining gives the same integers and extremes.

import { binary, cast, constant, type Expr, input, instruction, select, unary } from './expr.ts';
import type { ReductionKind } from './signature.ts';
import type { RegisterKind } from './tile-opcodes.ts';

/** A reduction of elements of one register kind. Expressions name their operands as inputs, in the order given. */
export interface Reduction {
  /** Kinds of the accumulators. */
  readonly state: readonly RegisterKind[];
  /** Values of the accumulators before any element. No inputs. */
  readonly start: readonly Expr[];
  /** Accumulators of one element: inputs are the element, and its place along the axis as i32. */
  readonly lift: readonly Expr[];
  /** Accumulators of two sets: inputs are those of the first set, then those of the second. */
  readonly join: readonly Expr[];
  /** The result: inputs are the accumulators, then the number of elements as f32. */
  readonly finish: Expr;
}

/** The reduction of elements that are held as `kind` in registers. */
export function reduction(name: ReductionKind, kind: RegisterKind): Reduction {
  switch (name) {
    case 'sum':
      return fold(kind, constant(0, kind), 'add');
    case 'mean': {
      const sum = fold(kind, constant(0, kind), 'add');
      return { ...sum, finish: binary('div', input(0, 'f32'), input(1, 'f32')) };
    }
    case 'prod':
      return fold(kind, constant(1, kind), 'mul');
    case 'max':
      return fold(kind, lowest(kind), 'max');
    case 'min':
      return fold(kind, highest(kind), 'min');
    case 'any':
      return truth(kind, constant(0, 'bool'), 'or');
    case 'all':
      return truth(kind, constant(1, 'bool'), 'and');
    case 'argmax':
      return place(kind, 'gt');
    case 'argmin':
      return place(kind, 'lt');
    default:
      return name satisfies never;
  }
}

function fold(kind: RegisterKind, start: Expr, operation: 'add' | 'mul' | 'max' | 'min'): Reduction {
  const [a, b] = [input(0, kind), input(1, kind)];
  return { state: [kind], start: [start], lift: [a], join: [binary(operation, a, b)], finish: a };
}

function truth(kind: RegisterKind, start: Expr, operation: 'and' | 'or'): Reduction {
  const [a, b] = [input(0, 'bool'), input(1, 'bool')];
  const lift = cast(input(0, kind), 'bool');
  return { state: ['bool'], start: [start], lift: [lift], join: [binary(operation, a, b)], finish: a };
}

/** The place of the best element: NaN beats every number, the first of equals wins. A place below 0 is none yet. */
function place(kind: RegisterKind, better: 'gt' | 'lt'): Reduction {
  const held = kind === 'bool' ? 'u32' : kind;
  const [a, i, b, j] = [input(0, held), input(1, 'i32'), input(2, held), input(3, 'i32')];
  const beats = (x: Expr, y: Expr): Expr => {
    const more = binary(better, x, y);
    if (held !== 'f32') return more;
    return or(more, and(unary('isnan', x), unary('not', unary('isnan', y))));
  };
  const zero = constant(0, 'i32');
  const tie = unary('not', or(beats(a, b), beats(b, a)));
  const wins = or(beats(b, a), and(tie, binary('lt', j, i)));
  const second = or(binary('lt', i, zero), and(binary('ge', j, zero), wins));
  return {
    state: [held, 'i32'],
    start: [constant(0, held), constant(-1, 'i32')],
    lift: [cast(input(0, kind), held), input(1, 'i32')],
    join: [select(second, b, a), select(second, j, i)],
    finish: input(1, 'i32'),
  };
}

const and = (a: Expr, b: Expr): Expr => instruction('and_bool', [a, b]);
const or = (a: Expr, b: Expr): Expr => instruction('or_bool', [a, b]);

const lowest = (kind: RegisterKind): Expr =>
  constant(kind === 'f32' ? Number.NEGATIVE_INFINITY : kind === 'i32' ? -(2 ** 31) : 0, kind);
const highest = (kind: RegisterKind): Expr =>
  constant(
    kind === 'f32'
      ? Number.POSITIVE_INFINITY
      : kind === 'i32'
        ? 2 ** 31 - 1
        : kind === 'u32'
          ? 2 ** 32 - 1
          : 1,
    kind,
  );
