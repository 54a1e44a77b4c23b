// Typed expressions as nodes of the graph: one op per instruction. They fuse into one program with their neighbours, have
// gradients, and map over batches as every elementwise op does.

import type { NDArray } from '../array/array.ts';
import { full, scalar } from '../array/creation.ts';
import { where } from '../array/ops/elementwise/where.ts';
import { IngotError, invariant } from '../base/errors.ts';
import type { Expr, OpExpr } from '../kernel/expr.ts';
import type { RegisterKind } from '../kernel/tile-opcodes.ts';

type Apply = (a: NDArray, b: NDArray, c: NDArray) => NDArray;

/** By the name of the operation; those whose op depends on the kind say so. */
const operations: Readonly<Record<string, Apply>> = {
  add: (a, b) => a.add(b),
  sub: (a, b) => a.sub(b),
  mul: (a, b) => a.mul(b),
  mod: (a, b) => a.mod(b),
  pow: (a, b) => a.pow(b),
  min: (a, b) => a.minimum(b),
  max: (a, b) => a.maximum(b),
  div: (a, b) => (a.dtype === 'f32' ? a.div(b) : a.floorDivide(b)),
  neg: (a) => a.neg(),
  abs: (a) => a.abs(),
  sign: (a) => a.sign(),
  square: (a) => a.square(),
  sqrt: (a) => a.sqrt(),
  rsqrt: (a) => a.rsqrt(),
  reciprocal: (a) => a.reciprocal(),
  exp: (a) => a.exp(),
  expm1: (a) => a.expm1(),
  log: (a) => a.log(),
  log1p: (a) => a.log1p(),
  sin: (a) => a.sin(),
  cos: (a) => a.cos(),
  tan: (a) => a.tan(),
  tanh: (a) => a.tanh(),
  sigmoid: (a) => a.sigmoid(),
  erf: (a) => a.erf(),
  floor: (a) => a.floor(),
  ceil: (a) => a.ceil(),
  round: (a) => a.round(),
  trunc: (a) => a.trunc(),
  silu: (a) => a.silu(),
  gelu_tanh: (a) => a.geluTanh(),
  gelu_erf: (a) => a.gelu(),
  isnan: (a) => a.isnan(),
  eq: (a, b) => a.eq(b),
  ne: (a, b) => a.ne(b),
  lt: (a, b) => a.lt(b),
  le: (a, b) => a.le(b),
  gt: (a, b) => a.gt(b),
  ge: (a, b) => a.ge(b),
  and: (a, b) => (a.dtype === 'bool' ? a.logicalAnd(b) : a.bitwiseAnd(b)),
  or: (a, b) => (a.dtype === 'bool' ? a.logicalOr(b) : a.bitwiseOr(b)),
  xor: (a, b) => (a.dtype === 'bool' ? a.logicalXor(b) : a.bitwiseXor(b)),
  not: (a) => (a.dtype === 'bool' ? a.logicalNot() : a.bitwiseNot()),
  shl: (a, b) => a.leftShift(b),
  shr: (a, b) => a.rightShift(b),
  select: (a, b, c) => where(a, b, c),
};

/** The values of expressions over inputs, which have the dtypes of their kinds. Shared parts are computed once. */
export function lowerExprs(exprs: readonly Expr[], inputs: readonly NDArray[]): readonly NDArray[] {
  const known = new Map<Expr, NDArray>();
  const lower = (e: Expr): NDArray => {
    const before = known.get(e);
    if (before !== undefined) return before;
    const made = lowerOne(e, lower, inputs);
    known.set(e, made);
    return made;
  };
  return exprs.map(lower);
}

function lowerOne(e: Expr, lower: (e: Expr) => NDArray, inputs: readonly NDArray[]): NDArray {
  switch (e.node) {
    case 'input': {
      const x = inputs[e.index];
      invariant(x !== undefined && x.dtype === e.kind, `input ${e.index} of an expression is not ${e.kind}`);
      return x;
    }
    case 'constant':
      return full([], e.kind === 'bool' ? e.value !== 0 : e.value, e.kind);
    case 'scalar':
      if (e.kind === 'bool')
        throw new IngotError('unsupported', `the plan scalar ${e.name} cannot be a bool`);
      return scalar(e.name, e.kind);
    case 'op':
      return applyOp(e, e.operands.map(lower));
    default:
      return e satisfies never;
  }
}

function applyOp({ opcode }: OpExpr, args: readonly NDArray[]): NDArray {
  const [a, b, c] = args as [NDArray, NDArray, NDArray];
  const conversion = /_to_(\w+)$/.exec(opcode);
  if (conversion !== null) return a.cast(conversion[1] as RegisterKind);
  const apply = operations[opcode.replace(/_(f32|i32|u32|bool)$/, '')];
  invariant(apply !== undefined, `no op for the instruction ${opcode}`);
  return apply(a, b, c);
}
