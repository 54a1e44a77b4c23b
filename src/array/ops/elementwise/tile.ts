// tile: elementwise ops in one pass over memory, with one result or several of one shape. Made by fusion, one
// instruction per op.

import { type DType, epsilon, isFloat } from '../../../base/dtype.ts';
import { maxElements, type Shape } from '../../../base/shape.ts';
import { registerKind } from '../../../kernel/expr.ts';
import { scalarFunctions, toRegister } from '../../../kernel/scalar-functions.ts';
import { findOpcode, type RegisterKind } from '../../../kernel/tile-opcodes.ts';
import { defineOp, type Operands } from '../../op.ts';
import type { Tensor } from '../../types.ts';
import { numel, operand, output, scalarValue, writer } from '../operands.ts';
import { broadcastReader } from './elementwise.ts';
import { type ElementwiseProgram, lowerTile } from './tile-params.ts';

export interface TileAttrs extends ElementwiseProgram {
  readonly shape: Shape;
  /** One for each result. */
  readonly dtypes: readonly DType[];
}

export const tileOp = defineOp<TileAttrs>({
  name: 'tile',
  infer: (_, { shape, dtypes }) => dtypes.map((dtype) => ({ shape, dtype })),
  reference: (inputs, outputs, attrs) => {
    const out = output(outputs);
    const read = inputs.flatMap((t) => (t === null ? [] : [broadcastReader(t, out.shape)]));
    const kinds = resultKinds(inputs, attrs);
    const base = read.length + attrs.constants.length;
    const registers = new Float64Array(base + attrs.instructions.length);
    attrs.constants.forEach((c, i) => {
      registers[read.length + i] = toRegister(operand(kinds, read.length + i), scalarValue(c.value));
    });
    const steps = attrs.instructions.map(({ opcode, args }, i) => ({
      f: scalarFunctions[opcode],
      kind: operand(kinds, base + i),
      a: args[0] ?? 0,
      b: args[1] ?? 0,
      c: args[2] ?? 0,
    }));
    const write = outputs.map(writer);
    const n = numel(out.shape);
    const at = (r: number): number => registers[r] as number;
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < read.length; k++) registers[k] = (read[k] as (i: number) => number)(i);
      for (let k = 0; k < steps.length; k++) {
        const s = steps[k] as (typeof steps)[number];
        registers[base + k] = toRegister(s.kind, s.f(at(s.a), at(s.b), at(s.c)));
      }
      for (let o = 0; o < write.length; o++) write[o]?.(i, at(attrs.results[o] as number));
    }
  },
  vjp: 'none', // made after differentiation
  kernel: { halfFloats: true, emit: (context) => lowerTile(context, context.attrs) },
  tolerance: (_, outputs, attrs) => {
    const rounding = Math.max(...outputs.map((t) => (isFloat(t.dtype) ? epsilon(t.dtype) : 0)));
    if (rounding === 0) return { absolute: 0, relative: 0 };
    const error = (8 * 2 ** -24 + 2 * rounding) * (attrs.instructions.length + 1);
    return { absolute: error, relative: error };
  },
  flops: (_, outputs, { instructions }) => instructions.length * maxElements(operand(outputs, 0).shape),
  cases: [
    {
      name: 'silu(a) * b + 1',
      inputs: [{ shape: [4, 37] }, { shape: [37] }],
      attrs: {
        shape: [4, 37],
        dtypes: ['f32'],
        constants: [{ dtype: 'f32', value: 1 }],
        instructions: [
          { opcode: 'silu_f32', args: [0] },
          { opcode: 'mul_f32', args: [3, 1] },
          { opcode: 'add_f32', args: [4, 2] },
        ],
        results: [5],
      },
    },
    {
      name: 'select on integers',
      inputs: [
        { shape: [6, 5], dtype: 'i32', fill: 'index', below: 9 },
        { shape: [6, 1], dtype: 'i32', fill: 'index', below: 9 },
      ],
      attrs: {
        shape: [6, 5],
        dtypes: ['i32'],
        constants: [],
        instructions: [
          { opcode: 'gt_i32', args: [0, 1] },
          { opcode: 'select', args: [2, 1, 0] },
        ],
        results: [3],
      },
    },
    {
      name: 'x + y, x * y and whether x is smaller, of f32 and bf16',
      inputs: [{ shape: [3, 41] }, { shape: [3, 1], dtype: 'bf16' }],
      attrs: {
        shape: [3, 41],
        dtypes: ['f32', 'bf16', 'bool'],
        constants: [],
        instructions: [
          { opcode: 'add_f32', args: [0, 1] },
          { opcode: 'mul_f32', args: [0, 1] },
          { opcode: 'lt_f32', args: [0, 1] },
        ],
        results: [2, 3, 4],
      },
    },
  ],
});

/** Kind of every register: inputs, constants, instructions. */
function resultKinds(inputs: Operands<Tensor>, program: ElementwiseProgram): readonly RegisterKind[] {
  const kinds: RegisterKind[] = inputs.flatMap((t) => (t === null ? [] : [registerKind(t.dtype)]));
  kinds.push(...program.constants.map((c) => registerKind(c.dtype)));
  for (const { opcode, args } of program.instructions) {
    const result = findOpcode(opcode)?.result ?? 'any';
    kinds.push(result === 'any' ? operand(kinds, args[args.length - 1] ?? 0) : result);
  }
  return kinds;
}
