// The expression language of elementwise kernels: typed nodes over inputs, constants and plan scalars. Nodes are plain
// data; the functions here check operand kinds when a node is made, so every expression that exists can be compiled.

import { type DType, isFloat } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import { findOpcode, type OpcodeInfo, type RegisterKind, type TileOpcode } from './tile-opcodes.ts';

export type Expr = InputExpr | ConstantExpr | ScalarExpr | OpExpr;

/** The element of input number `index`. */
export interface InputExpr {
  readonly node: 'input';
  readonly kind: RegisterKind;
  readonly index: number;
}
export interface ConstantExpr {
  readonly node: 'constant';
  readonly kind: RegisterKind;
  /** bool: 0 or 1. */
  readonly value: number;
}
/** A plan scalar, known when the plan runs. */
export interface ScalarExpr {
  readonly node: 'scalar';
  readonly kind: RegisterKind;
  readonly name: string;
}
/** One instruction applied to its operands. */
export interface OpExpr {
  readonly node: 'op';
  readonly kind: RegisterKind;
  readonly opcode: TileOpcode;
  readonly operands: readonly Expr[];
}

type Base<Name extends string> = Name extends `${infer Op}_${RegisterKind}` ? Op : never;
/** Operation names without the kind: 'add', 'exp', 'gelu_tanh'. */
export type Operation = Base<TileOpcode>;

/** How elements of a dtype are held while a program runs. */
export function registerKind(dtype: DType): RegisterKind {
  if (isFloat(dtype)) return 'f32';
  if (dtype === 'bool') return 'bool';
  return dtype === 'i8' || dtype === 'i32' ? 'i32' : 'u32';
}

export const input = (index: number, kind: RegisterKind): InputExpr => ({ node: 'input', kind, index });
export const scalar = (name: string, kind: RegisterKind): ScalarExpr => ({ node: 'scalar', kind, name });

/** A constant. Throws invalid_argument when an integer or bool kind cannot hold the value. */
export function constant(value: number, kind: RegisterKind = 'f32'): ConstantExpr {
  if (!(value >= range[kind].low && value <= range[kind].high) && kind !== 'f32') {
    throw new IngotError('invalid_argument', `the constant ${value} does not fit ${kind}`);
  }
  if (kind !== 'f32' && !Number.isInteger(value)) {
    throw new IngotError('invalid_argument', `the constant ${value} is not an integer, as ${kind} needs`);
  }
  return { node: 'constant', kind, value: kind === 'f32' ? Math.fround(value) : value };
}
const range: Readonly<Record<RegisterKind, { readonly low: number; readonly high: number }>> = {
  f32: { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY },
  i32: { low: -(2 ** 31), high: 2 ** 31 - 1 },
  u32: { low: 0, high: 2 ** 32 - 1 },
  bool: { low: 0, high: 1 },
};

/** An operation of one operand. Throws invalid_argument when it has no form for the operand's kind. */
export const unary = (operation: Operation, x: Expr): OpExpr => apply(opcodeFor(operation, x, 1), [x]);

/** An operation of two operands of one kind; comparisons give bool. */
export function binary(operation: Operation, a: Expr, b: Expr): OpExpr {
  return apply(opcodeFor(operation, a, 2), [a, b]);
}

/** `a` where `condition` holds, else `b`. */
export function select(condition: Expr, a: Expr, b: Expr): OpExpr {
  return apply(required('select'), [condition, a, b]);
}

/** Value conversion; the node itself when the kind is already right. Floats truncate and saturate, NaN becomes 0. */
export const cast = (x: Expr, kind: RegisterKind): Expr =>
  x.kind === kind ? x : apply(required(`${x.kind}_to_${kind}`), [x]);

/** The instruction called `name`, applied to operands of exactly the kinds it takes. */
export function instruction(name: TileOpcode, operands: readonly Expr[]): OpExpr {
  return apply(required(name), operands);
}

function required(name: string): OpcodeInfo {
  const info = findOpcode(name);
  if (info === undefined) throw new IngotError('internal', `internal: no tile instruction ${name}`);
  return info;
}

function opcodeFor(operation: string, x: Expr, arity: number): OpcodeInfo {
  const info = findOpcode(`${operation}_${x.kind}`);
  if (info !== undefined && info.arity === arity) return info;
  const kinds = (['f32', 'i32', 'u32', 'bool'] as const).filter(
    (kind) => findOpcode(`${operation}_${kind}`)?.arity === arity,
  );
  const remedy =
    kinds.length === 0 ? `there is no such operation of ${arity} operands` : `cast to ${kinds.join(' or ')}`;
  throw new IngotError('invalid_argument', `${operation} is not defined for ${x.kind}: ${remedy}`);
}

function apply(info: OpcodeInfo, operands: readonly Expr[]): OpExpr {
  if (operands.length !== info.arity) {
    throw new IngotError(
      'invalid_argument',
      `${info.name} takes ${info.arity} operands, got ${operands.length}`,
    );
  }
  let common: RegisterKind | undefined;
  operands.forEach((x, i) => {
    const declared = info.operands[i] as RegisterKind | 'any';
    if (declared === 'any') common ??= x.kind;
    const wanted = declared === 'any' ? common : declared;
    if (x.kind === wanted) return;
    throw new IngotError(
      'invalid_argument',
      `${info.name}: operand ${i} is ${x.kind}, expected ${wanted}: cast it`,
    );
  });
  const kind = info.result === 'any' ? (common ?? 'f32') : info.result;
  return { node: 'op', kind, opcode: info.name, operands };
}
