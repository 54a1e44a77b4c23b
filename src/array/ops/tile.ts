// tile: a chain of elementwise ops in one pass over memory. Made by fusion, one instruction per op.

import { type DType, epsilon, isFloat } from '../../base/dtype.ts';
import { maxElements, type Shape } from '../../base/shape.ts';
import { scalarFunctions, toRegister } from '../../kernel/scalar-functions.ts';
import { findOpcode, type RegisterKind } from '../../kernel/tile-opcodes.ts';
import { defineOp, type Operands } from '../op.ts';
import type { Tensor } from '../types.ts';
import { broadcastReader, registerKind } from './elementwise.ts';
import { numel, operand, output, scalarValue, writer } from './operands.ts';
import { lowerTile, type TileProgram } from './tile-params.ts';

export interface TileAttrs extends TileProgram {
  readonly shape: Shape;
  readonly dtype: DType;
}

export const tileOp = defineOp<TileAttrs>({
  name: 'tile',
  infer: (_, { shape, dtype }) => [{ shape, dtype }],
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
    const write = writer(out);
    const n = numel(out.shape);
    const at = (r: number): number => registers[r] as number;
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < read.length; k++) registers[k] = (read[k] as (i: number) => number)(i);
      for (let k = 0; k < steps.length; k++) {
        const s = steps[k] as (typeof steps)[number];
        registers[base + k] = toRegister(s.kind, s.f(at(s.a), at(s.b), at(s.c)));
      }
      write(i, at(attrs.result));
    }
  },
  vjp: 'none', // made after differentiation
  kernel: { halfFloats: true, emit: (context) => lowerTile(context, context.attrs) },
  tolerance: (_, outputs, attrs) => {
    const { dtype } = output(outputs);
    if (!isFloat(dtype)) return { absolute: 0, relative: 0 };
    const error = (8 * 2 ** -24 + 2 * epsilon(dtype)) * (attrs.instructions.length + 1);
    return { absolute: error, relative: error };
  },
  flops: (_, outputs, { instructions }) => instructions.length * maxElements(operand(outputs, 0).shape),
  cases: [
    {
      name: 'silu(a) * b + 1',
      inputs: [{ shape: [4, 37] }, { shape: [37] }],
      attrs: {
        shape: [4, 37],
        dtype: 'f32',
        constants: [{ dtype: 'f32', value: 1 }],
        instructions: [
          { opcode: 'silu_f32', args: [0] },
          { opcode: 'mul_f32', args: [3, 1] },
          { opcode: 'add_f32', args: [4, 2] },
        ],
        result: 5,
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
        dtype: 'i32',
        constants: [],
        instructions: [
          { opcode: 'gt_i32', args: [0, 1] },
          { opcode: 'select', args: [2, 1, 0] },
        ],
        result: 3,
      },
    },
  ],
});

/** Kind of every register: inputs, constants, instructions. */
function resultKinds(inputs: Operands<Tensor>, program: TileProgram): readonly RegisterKind[] {
  const kinds: RegisterKind[] = inputs.flatMap((t) => (t === null ? [] : [registerKind(t.dtype)]));
  kinds.push(...program.constants.map((c) => registerKind(c.dtype)));
  for (const { opcode, args } of program.instructions) {
    const result = findOpcode(opcode)?.result ?? 'any';
    kinds.push(result === 'any' ? operand(kinds, args[args.length - 1] ?? 0) : result);
  }
  return kinds;
}
