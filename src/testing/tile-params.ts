// The parameter block of a `tile` dispatch, written from a program: what `kernel/tile-decode.ts` reads back. Lowering writes its
// own from a graph (`array/ops/elementwise/tile-params.ts`).

import { opcodeNumber } from '../kernel/registers.ts';
import { listParams, type Param } from '../kernel/signature.ts';
import type { TileLayout, TileProgram } from '../kernel/tile-program.ts';

/** The params of a program over these operands. */
export function encodeTileProgram(program: TileProgram, layout: TileLayout): readonly Param[] {
  return listParams('tile', {
    count: layout.count,
    sizes: layout.sizes,
    inputs: layout.inputs,
    outputs: layout.outputs.map((dtype) => ({ dtype })),
    constants: program.constants.map(({ kind, value }) => ({
      dtype: kind,
      value: typeof value === 'number' ? value : { scalar: value.scalar, mul: 1, add: 0 },
    })),
    instructions: program.instructions.map(({ opcode, dst, args: [a = 0, b = 0, c = 0] }) => ({
      opcode: opcodeNumber(opcode),
      dst,
      a,
      b,
      c,
    })),
    results: program.results.map((r) => r.register),
  });
}
