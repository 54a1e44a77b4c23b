// cast: conversion between dtypes. Floats to integers truncate and saturate; anything non-zero is true.

import { checkDtype, type DType, epsilon, isFloat } from '../../../base/dtype.ts';
import { registerKind } from '../../../kernel/expr.ts';
import { scalarFunctions } from '../../../kernel/scalar-functions.ts';
import type { RegisterKind, TileOpcode } from '../../../kernel/tile-opcodes.ts';
import type { NDArray } from '../../array.ts';
import { defineOp } from '../../op.ts';
import { operand, output } from '../operands.ts';
import { applyElementwise } from './elementwise.ts';

export interface CastAttrs {
  readonly dtype: DType;
}

const opcodeFor = (from: RegisterKind, to: RegisterKind): TileOpcode | 'copy' =>
  from === to ? 'copy' : (`${from}_to_${to}` as TileOpcode);

export const castOp = defineOp<CastAttrs>({
  name: 'cast',
  infer: (inputs, { dtype }) => [{ shape: operand(inputs, 0).shape, dtype }],
  reference: (inputs, outputs, { dtype }) => {
    const opcode = opcodeFor(registerKind(operand(inputs, 0).dtype), registerKind(dtype));
    applyElementwise(inputs, output(outputs), opcode === 'copy' ? (x) => x : scalarFunctions[opcode]);
  },
  elementwise: {
    opcode: ([from], to) => (from === undefined ? undefined : opcodeFor(from, to)),
  },
  vjp: ({ inputs, grads, attrs }) => {
    const { dtype } = operand(inputs, 0);
    return [isFloat(dtype) && isFloat(attrs.dtype) ? operand(grads, 0).cast(dtype) : null];
  },
  tolerance: (_, outputs) => {
    const relative = epsilon(output(outputs).dtype);
    return { absolute: 0, relative };
  },
  cases: (
    [
      ['f32', 'i32'],
      ['f32', 'f16'],
      ['f32', 'bf16'],
      ['f16', 'f32'],
      ['i32', 'f32'],
      ['u8', 'f32'],
      ['f32', 'bool'],
      ['bool', 'f32'],
      ['i32', 'i8'],
      ['u32', 'bf16'],
    ] as const
  ).map(([from, dtype]) => ({
    name: `${from} to ${dtype}`,
    inputs: [{ shape: [3, 21], dtype: from, fill: from === 'bool' ? 'bool' : 'normal' }],
    attrs: { dtype },
  })),
});

/** The same numbers in another dtype; the array itself when it has that dtype already. */
export function cast(x: NDArray, dtype: DType): NDArray {
  checkDtype(dtype, 'cast');
  return x.dtype === dtype ? x : x.apply(castOp, [x], { dtype });
}
