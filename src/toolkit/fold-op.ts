// The op of folds: a kernel of its own on GPUs, elsewhere plain reductions and elementwise programs.

import type { NDArray } from '../array/array.ts';
import { arange, full } from '../array/creation.ts';
import type { LowerContext, OpDef, Operands } from '../array/op.ts';
import { broadcastingBatch } from '../array/ops/batch.ts';
import { identity } from '../array/ops/memory/identity.ts';
import { countParam, fixed, operand } from '../array/ops/operands.ts';
import { concat } from '../array/ops/shape/concat.ts';
import { backward } from '../array/transform/backward.ts';
import type { ValueType } from '../array/types.ts';
import type { DType } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { broadcastShapes, elementCount, normalizeAxis, type Shape, sameShape } from '../base/shape.ts';
import type { Expr } from '../kernel/expr.ts';
import { type FoldPass, type FoldProgram, plainCombine } from '../kernel/fold.ts';
import { type Placement, placements, planFold } from '../kernel/wgsl/fold.ts';
import { addUserKernel } from '../kernel/wgsl/user.ts';
import { lowerExprs } from './lower-expr.ts';
import { widened } from './operands.ts';

export interface FoldAttrs {
  /** The kernel's number: a program is the same in every op that names it. */
  readonly kernel: number;
  /** From the end: the same with more axes in front. */
  readonly axis: number;
  readonly keepDims: boolean;
  /** Of the results. */
  readonly dtypes: readonly DType[];
}

/** The results of a fold in terms of other ops, in order. */
export type FoldComposite = (operands: readonly NDArray[]) => readonly NDArray[];

interface Known {
  readonly what: string;
  readonly program: FoldProgram;
  readonly composite: FoldComposite | undefined;
}

const programs = new Map<number, Known>();

/** The number of a program, for `foldOp`. `what` is the kernel's name in messages. */
export function addFold(what: string, program: FoldProgram, composite?: FoldComposite): number {
  const kernel = addUserKernel((request) => planFold(program, request));
  programs.set(kernel, { what, program, composite });
  return kernel;
}

const known = (kernel: number): Known => programs.get(kernel) as Known;

/** What the operands broadcast to. */
const commonShape = (inputs: Operands<ValueType | NDArray>): Shape =>
  inputs.reduce<Shape>((s, t) => (t === null ? s : broadcastShapes(s, t.shape, 'fold')), []);

const reducedShape = (shape: Shape, at: number, keepDims: boolean): Shape =>
  keepDims ? shape.map((d, i) => (i === at ? 1 : d)) : shape.filter((_, i) => i !== at);

export const foldOp: OpDef<FoldAttrs> = {
  name: 'fold',
  infer: (inputs, { kernel, axis, keepDims, dtypes }) => {
    const { what, program } = known(kernel);
    const shape = commonShape(inputs);
    const at = normalizeAxis(axis, shape.length, what);
    const out = program.write === undefined ? reducedShape(shape, at, keepDims) : shape;
    return dtypes.map((dtype) => ({ shape: out, dtype }));
  },
  reference: () => {
    throw new IngotError('internal', 'internal: a fold is taken apart before it runs');
  },
  composed: true,
  composite: (inputs, attrs) => compose(inputs as readonly NDArray[], attrs),
  vjp: ({ inputs, grads, attrs }) => {
    const { what, program } = known(attrs.kernel);
    const pass = program.passes.find((p) => p.state.every((kind) => kind !== 'f32'));
    if (pass !== undefined) {
      throw new IngotError(
        'unsupported',
        `${what} has no gradient: the accumulators of a pass are ${pass.state.join(', ')}; keep it out of what is differentiated with stopGradient()`,
      );
    }
    const sources = inputs.map((x, i) => (x === null ? operand(inputs, i) : identity(x)));
    return backward(compose(sources, attrs), grads, sources);
  },
  batch: ({ inputs, batched, attrs, again }) => {
    const rank = Math.max(...inputs.map((x, i) => (x?.shape.length ?? 0) - (batched[i] ? 1 : 0)));
    return again(broadcastingBatch({ inputs, batched }, rank), attrs);
  },
  kernel: {
    halfFloats: true,
    supports: (inputs, outputs, attrs) =>
      placementsOf(inputs, attrs) !== undefined && canStore(inputs, outputs, attrs),
    emit: emitFold,
  },
  cases: [],
};

/** How every operand lies along the lines; undefined: in a way that the kernel does not know. */
function placementsOf(inputs: Operands<ValueType>, { axis }: FoldAttrs): readonly Placement[] | undefined {
  const shape = commonShape(inputs);
  const at = normalizeAxis(axis, shape.length, 'fold');
  const line = shape.map((d, i) => (i === at ? d : 1));
  const each = shape.map((d, i) => (i === at ? 1 : d));
  const found = inputs.map((t): Placement | undefined => {
    const own: Shape = [...shape.slice(t?.shape.length ?? 0).map(() => 1), ...(t?.shape ?? [])];
    if (sameShape(own, shape)) return 'whole';
    if (own.every((d) => d === 1)) return 'single';
    if (sameShape(own, line)) return 'line';
    return sameShape(own, each) ? 'each' : undefined;
  });
  return found.every((p) => p !== undefined) ? (found as Placement[]) : undefined;
}

/** Lines have a size that is known, and results are words, or stored by fours along contiguous lines. */
function canStore(
  inputs: Operands<ValueType>,
  outputs: readonly ValueType[],
  { axis, kernel }: FoldAttrs,
): boolean {
  const shape = commonShape(inputs);
  const at = normalizeAxis(axis, shape.length, 'fold');
  const size = shape[at];
  if (typeof size !== 'number' || size === 0) return false;
  const inner = elementCount(shape.slice(at + 1));
  const fours =
    inner.dyn === undefined && inner.mul === 1 && size % 4 === 0 && known(kernel).program.write !== undefined;
  return outputs.every(({ dtype }) => fours || dtype === 'f32' || dtype === 'i32' || dtype === 'u32');
}

function emitFold(context: LowerContext<FoldAttrs>): void {
  const { attrs, outputs } = context;
  const inputs = context.inputs.flatMap((v) => (v === null ? [] : [v]));
  const types = inputs.map((v) => v.type);
  const shape = commonShape(types);
  const at = normalizeAxis(attrs.axis, shape.length, 'fold');
  const sizes = [shape.slice(0, at), shape.slice(at, at + 1), shape.slice(at + 1)];
  const placed = placementsOf(types, attrs) ?? [];
  context.emit(
    'user',
    { inputs: inputs.map((x) => ({ x })), outputs: outputs.map((y) => ({ y })) },
    {
      kernel: attrs.kernel,
      inputs: types.map(({ dtype }) => ({ dtype })),
      outputs: outputs.map(({ type }) => ({ dtype: type.dtype })),
      values: [
        ...sizes.map((s) => ({ value: countParam(elementCount(s)) })),
        ...placed.map((p) => ({ value: placements.indexOf(p) })),
      ],
    },
  );
}

/** The fold in terms of other ops. */
function compose(
  inputs: readonly NDArray[],
  { kernel, axis, keepDims, dtypes }: FoldAttrs,
): readonly NDArray[] {
  const { what, program, composite } = known(kernel);
  if (composite !== undefined) return composite(inputs).map((x, i) => x.cast(dtypes[i] as DType));
  const shape = commonShape(inputs);
  const at = normalizeAxis(axis, shape.length, what);
  const n = fixed(shape[at], what);
  const operands = inputs.map((x) => widened(x, shape));
  const place = arange(n).reshape(shape.map((_, i) => (i === at ? n : 1)));
  let results: readonly NDArray[] = [];
  for (const pass of program.passes) {
    const scope = [...operands, place, ...results];
    const state = n === 0 ? emptyState(pass, shape, at) : foldLine(pass, scope, shape, at);
    results = [...results, ...lowerExprs(pass.finish, [...state, ...results])];
  }
  if (program.write !== undefined) {
    const written = lowerExprs(program.write, [...operands, place, ...results]);
    return written.map((x, i) => x.broadcastTo(shape).cast(dtypes[i] as DType));
  }
  const last = program.passes.at(-1)?.finish.length ?? 0;
  const out = reducedShape(shape, at, true);
  return results.slice(results.length - last).map((x, i) => {
    const whole = x.broadcastTo(out).cast(dtypes[i] as DType);
    return keepDims ? whole : whole.reshape(reducedShape(shape, at, false));
  });
}

const emptyState = (pass: FoldPass, shape: Shape, at: number): readonly NDArray[] =>
  lowerExprs(pass.start, []).map((x) => x.broadcastTo(reducedShape(shape, at, true)));

/** Accumulators of every line, with the axis kept as size 1. */
function foldLine(pass: FoldPass, scope: readonly NDArray[], shape: Shape, at: number): readonly NDArray[] {
  const start = lowerExprs(pass.start, []);
  const lifted = lowerExprs(pass.update, [...scope, ...start]).map((x) => x.broadcastTo(shape));
  const plain = lifted.map((_, i) => plainCombine(pass, i));
  if (plain.every((p) => p !== undefined))
    return lifted.map((x, i) => plainReduction(x, plain[i] as string, at));
  return joinHalves(pass.combine, lifted, at);
}

function plainReduction(x: NDArray, combine: string, at: number): NDArray {
  switch (combine) {
    case 'add':
      return x.sum(at, true);
    case 'mul':
      return x.prod(at, true);
    case 'min':
      return x.min(at, true);
    case 'max':
      return x.max(at, true);
    case 'and':
      return x.all(at, true);
    default:
      return x.any(at, true);
  }
}

/** The first half with the second, until one is left: log2 n programs over ever fewer elements. */
function joinHalves(combine: readonly Expr[], state: readonly NDArray[], at: number): readonly NDArray[] {
  let now = state;
  for (let n = fixed(now[0]?.shape[at], 'fold'); n > 1; n -= n >> 1) {
    const half = n >> 1;
    const piece = (x: NDArray, from: number, to: number): NDArray =>
      x.slice(...x.shape.map((_, i) => (i === at ? ([from, to] as const) : null)));
    const low = now.map((x) => piece(x, 0, half));
    const high = now.map((x) => piece(x, half, 2 * half));
    const joined = lowerExprs(combine, [...low, ...high]).map((x, i) => x.broadcastTo(low[i]?.shape ?? []));
    now = n % 2 === 0 ? joined : joined.map((x, i) => concat([x, piece(now[i] as NDArray, n - 1, n)], at));
  }
  return now;
}

/** A constant of a kind, for operands that are numbers. */
export const numberOperand = (value: number | boolean): NDArray =>
  full([], value, typeof value === 'boolean' ? 'bool' : 'f32');
