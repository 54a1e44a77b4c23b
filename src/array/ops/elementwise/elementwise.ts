// Builders for elementwise ops: dtype promotion, broadcasting, and the reference that applies one tile instruction.

import { type DType, epsilon, isFloat } from '../../../base/dtype.ts';
import { IngotError } from '../../../base/errors.ts';
import { broadcastShapes, maxElements } from '../../../base/shape.ts';
import { registerKind } from '../../../kernel/expr.ts';
import { type ScalarFunction, scalarFunctions, toRegister } from '../../../kernel/scalar-functions.ts';
import type { RegisterKind, TileOpcode } from '../../../kernel/tile-opcodes.ts';
import type { NDArray } from '../../array.ts';
import type { CaseOperand, NoAttrs, OpCase, OpDef, Operands, Tolerance, Vjp } from '../../op.ts';
import type { Tensor, ValueType } from '../../types.ts';
import { constantValue, fullOp } from '../creation/full.ts';
import { numel, operand, output, reader, writer } from '../operands.ts';
import { sumTo } from '../reduce/sum.ts';

export type Opcodes = Partial<Record<RegisterKind, TileOpcode>>;

/**
 * The dtype two operands meet in (docs/arrays.md has the table): floats win over integers, integers over bool, wider over
 * narrower. f16 with bf16 is f32. Signed with unsigned is i32, also for u32: there is no wider integer.
 */
export function promote(a: DType, b: DType): DType {
  if (a === b) return a;
  if (a === 'bool') return b;
  if (b === 'bool') return a;
  if (isFloat(a) && isFloat(b)) return 'f32';
  if (isFloat(a)) return a;
  if (isFloat(b)) return b;
  const pair = [a, b];
  return pair.includes('i8') || pair.includes('i32') ? 'i32' : 'u32';
}

/** Reference of an elementwise op: operands broadcast to the output, one function per element. */
export function applyElementwise(inputs: Operands<Tensor>, out: Tensor, f: ScalarFunction): void {
  const read = inputs.flatMap((t) => (t === null ? [] : [broadcastReader(t, out.shape)]));
  const [a = () => 0, b = () => 0, c = () => 0] = read;
  const write = writer(out);
  const kind = registerKind(out.dtype);
  const n = numel(out.shape);
  for (let i = 0; i < n; i++) write(i, toRegister(kind, f(a(i), b(i), c(i))));
}

/** Reads the element of `t` that lands at flat position i of the broadcast shape. */
export function broadcastReader(t: Tensor, shape: readonly number[]): (i: number) => number {
  const read = reader(t);
  const n = numel(t.shape);
  if (n === numel(shape)) return read;
  if (n === 1) return () => read(0);
  const offset = shape.length - t.shape.length;
  let stride = n;
  const strides = t.shape.map((d) => {
    stride /= d;
    return d === 1 ? 0 : stride;
  });
  return (i) => {
    let rest = i;
    let at = 0;
    for (let axis = shape.length - 1; axis >= offset; axis--) {
      const size = shape[axis] as number;
      at += (rest % size) * (strides[axis - offset] as number);
      rest = Math.floor(rest / size);
    }
    return read(at);
  };
}

function elementwiseReference(name: string, opcodes: Opcodes) {
  return (inputs: Operands<Tensor>, outputs: readonly Tensor[]): void => {
    const kind = registerKind(operand(inputs, 0).dtype);
    const opcode = opcodes[kind];
    if (opcode === undefined) throw new IngotError('invalid_argument', `${name} is not defined for ${kind}`);
    applyElementwise(inputs, output(outputs), scalarFunctions[opcode]);
  };
}

/** Relative error that a vectorised approximation of a function may have, in roundings of f32. */
const approximationUlps = 8;

const elementwiseTolerance =
  (scale: number) =>
  (_: Operands<Tensor>, outputs: readonly Tensor[]): Tolerance => {
    const { dtype } = output(outputs);
    if (!isFloat(dtype)) return { absolute: 0, relative: 0 };
    const relative = scale * approximationUlps * 2 ** -24 + 2 * epsilon(dtype);
    return { absolute: relative, relative };
  };

interface UnarySpec {
  readonly name: string;
  readonly opcodes: Opcodes;
  /** Gradient; `x` is the operand, `y` the result. 'zero' for steps. */
  readonly vjp: ((g: NDArray, x: NDArray, y: NDArray) => NDArray) | 'zero' | 'none';
  readonly result?: DType;
  readonly fill?: CaseOperand['fill'];
  /** Multiplies the tolerance where the function is steep or reduced (tan, pow). */
  readonly errorScale?: number;
}

const caseShapes: readonly (readonly number[])[] = [[], [1], [7], [3, 5], [2, 33, 17]];

const dtypesOf = (opcodes: Opcodes): readonly DType[] =>
  (['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool'] as const).filter((d) => opcodes[registerKind(d)]);

/** An op of one operand with the shape of the operand. */
export function unaryOp(spec: UnarySpec): OpDef<NoAttrs> {
  const { name, opcodes, vjp } = spec;
  const fill = spec.fill ?? 'normal';
  const cases: OpCase<NoAttrs>[] = dtypesOf(opcodes).flatMap((dtype) =>
    (dtype === 'f32' ? caseShapes : [[5, 9]]).map((shape) => ({
      name: `${dtype} [${shape}]`,
      inputs: [{ shape, dtype, fill: dtype === 'bool' ? 'bool' : fill }],
      attrs: {},
    })),
  );
  return {
    name,
    infer: (inputs) => {
      const x = operand(inputs, 0);
      checkKind(name, opcodes, x);
      return [{ shape: x.shape, dtype: spec.result ?? x.dtype }];
    },
    reference: elementwiseReference(name, opcodes),
    elementwise: { opcode: ([kind]) => (kind === undefined ? undefined : opcodes[kind]) },
    vjp:
      vjp === 'none'
        ? 'none'
        : vjp === 'zero'
          ? () => [null]
          : ({ inputs, outputs, grads }) => [vjp(operand(grads, 0), operand(inputs, 0), operand(outputs, 0))],
    flops: (_, outputs) => maxElements(operand(outputs, 0).shape),
    tolerance: elementwiseTolerance(spec.errorScale ?? 1),
    cases,
  };
}

interface BinarySpec {
  readonly name: string;
  readonly opcodes: Opcodes;
  readonly vjp: ((g: NDArray, a: NDArray, b: NDArray, y: NDArray) => readonly [NDArray, NDArray]) | 'none';
  readonly result?: DType;
  readonly fill?: readonly [CaseOperand['fill'], CaseOperand['fill']];
  readonly errorScale?: number;
}

const pairShapes: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[7], [7]],
  [
    [3, 5],
    [3, 5],
  ],
  [[4, 6], [6]],
  [
    [2, 3, 4],
    [3, 1],
  ],
  [
    [5, 1],
    [1, 8],
  ],
  [[3, 3], []],
];

/** An op of two operands of one dtype whose shapes broadcast. */
export function binaryOp(spec: BinarySpec): OpDef<NoAttrs> {
  const { name, opcodes, vjp } = spec;
  const [fillA = 'normal', fillB = 'normal'] = spec.fill ?? [];
  const cases: OpCase<NoAttrs>[] = dtypesOf(opcodes).flatMap((dtype) =>
    (dtype === 'f32' ? pairShapes : pairShapes.slice(2, 3)).map(([a, b]) => ({
      name: `${dtype} [${a}] [${b}]`,
      inputs: [
        { shape: a, dtype, fill: dtype === 'bool' ? 'bool' : fillA },
        { shape: b, dtype, fill: dtype === 'bool' ? 'bool' : fillB },
      ],
      attrs: {},
    })),
  );
  return {
    name,
    infer: (inputs) => {
      const a = operand(inputs, 0);
      const b = operand(inputs, 1);
      if (a.dtype !== b.dtype) {
        throw new IngotError('invalid_argument', `${name}: operands are ${a.dtype} and ${b.dtype}`);
      }
      checkKind(name, opcodes, a);
      return [{ shape: broadcastShapes(a.shape, b.shape, name), dtype: spec.result ?? a.dtype }];
    },
    reference: elementwiseReference(name, opcodes),
    elementwise: { opcode: ([kind]) => (kind === undefined ? undefined : opcodes[kind]) },
    vjp: vjp === 'none' ? 'none' : binaryVjp(vjp),
    flops: (_, outputs) => maxElements(operand(outputs, 0).shape),
    tolerance: elementwiseTolerance(spec.errorScale ?? 1),
    cases,
  };
}

/** Sums the gradients back to the shapes the operands had before broadcasting. */
const binaryVjp =
  (vjp: Exclude<BinarySpec['vjp'], 'none'>): Vjp<NoAttrs> =>
  ({ inputs, outputs, grads }) => {
    const a = operand(inputs, 0);
    const b = operand(inputs, 1);
    const [da, db] = vjp(operand(grads, 0), a, b, operand(outputs, 0));
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  };

function checkKind(name: string, opcodes: Opcodes, t: ValueType): void {
  if (t.layout === undefined && opcodes[registerKind(t.dtype)] !== undefined) return;
  const what = t.layout === undefined ? t.dtype : 'packed weights';
  throw new IngotError('invalid_argument', `${name} is not defined for ${what}`);
}

/** Applies a unary op; integers are cast to f32 first where the op is defined for floats only. */
export const unary = (op: OpDef<NoAttrs>, x: NDArray, floatOnly = true): NDArray =>
  x.apply(op, [floatOnly && !isFloat(x.dtype) ? x.cast('f32') : x], {});

/** An operand of a function of several arrays: numbers and truth values stand for arrays of shape []. */
export type Term = NDArray | number | boolean;

/** Dtype of the sum of two terms: a number or truth value is no wider than it must be, and takes the dtype of an array. */
export const commonDtype = (a: Term, b: Term): DType => promote(termDtype(a, b), termDtype(b, a));

/** Dtype of a term beside another one: f32 for a fraction with integers, i32 for an integer with bool. */
function termDtype(x: Term, other: Term): DType {
  if (typeof x === 'object') return x.dtype;
  if (typeof x === 'boolean') return 'bool';
  const beside = typeof other === 'object' ? other.dtype : 'bool';
  if (isFloat(beside)) return beside;
  if (!Number.isInteger(x)) return 'f32';
  return beside === 'bool' ? 'i32' : beside;
}

/** The array among the operands: what constants and ops are made through. */
export function someArray(terms: readonly Term[], what: string): NDArray {
  for (const t of terms) {
    if (typeof t === 'number' || typeof t === 'boolean' || (typeof t === 'object' && t !== null)) continue;
    throw new IngotError(
      'invalid_argument',
      `${what}: ${typeof t === 'string' ? `'${t}'` : String(t)} is no array, number or truth value`,
    );
  }
  const found = terms.find((t) => typeof t === 'object');
  if (found !== undefined) return found;
  throw new IngotError('invalid_argument', `${what}: no operand is an array; make one with full()`);
}

/** A term as an array of this dtype. Throws invalid_argument for a number that the dtype does not hold. */
export const lift = (x: Term, dtype: DType, through: NDArray, what: string): NDArray =>
  typeof x === 'object'
    ? x.cast(dtype)
    : through.apply(fullOp, [], { shape: [], dtype, value: constantValue(x, dtype, what) });

/** Applies a binary op after promotion. */
export function binary(op: OpDef<NoAttrs>, a: Term, b: Term, within?: DType): NDArray {
  const through = someArray([a, b], op.name);
  const dtype = within ?? commonDtype(a, b);
  return through.apply(op, [lift(a, dtype, through, op.name), lift(b, dtype, through, op.name)], {});
}

/** `within` for arithmetic: bool operands count as i32. */
export const arithmetic = (a: Term, b: Term): DType | undefined => (areBool(a, b) ? 'i32' : undefined);

/** True when both terms are truth values. */
export const areBool = (a: Term, b: Term): boolean =>
  termDtype(a, b) === 'bool' && termDtype(b, a) === 'bool';

/** `within` for ops defined on floats only. */
export function floating(a: Term, b: Term): DType {
  const dtype = commonDtype(a, b);
  return isFloat(dtype) ? dtype : 'f32';
}

/** Applies an op that changes nothing in integers and truth values. */
export const rounding = (op: OpDef<NoAttrs>, x: NDArray): NDArray => (isFloat(x.dtype) ? unary(op, x) : x);
