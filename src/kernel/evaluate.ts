// Plain-TypeScript evaluator of tile programs over typed arrays with broadcasting strides: the reference of the native
// interpreter.

import type { DType, TypedArray } from '../base/dtype.ts';
import { IngotError, invariant } from '../base/errors.ts';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../quant/half.ts';
import { registerKind } from './expr.ts';
import { scalarFunctions, toRegister } from './scalar-functions.ts';
import { findOpcode, type RegisterKind } from './tile-opcodes.ts';
import type { TileProgram } from './tile-program.ts';

/** f16 and bf16 as their bits in a Uint16Array; strides in elements, one per axis, 0 broadcasts. */
export interface TileOperand {
  readonly data: TypedArray;
  readonly dtype: DType;
  readonly strides: readonly number[];
}
export interface TileOutput {
  readonly data: TypedArray;
  readonly dtype: DType;
}

/**
 * Runs a program over every element of `sizes` (outermost first); outputs are contiguous. `scalars` holds the plan scalars the
 * program names. Throws invalid_argument when operands do not fit the program or are too short.
 */
export function evaluateTileProgram(
  program: TileProgram,
  sizes: readonly number[],
  inputs: readonly TileOperand[],
  outputs: readonly TileOutput[],
  scalars: Readonly<Record<string, number>> = {},
): void {
  const count = sizes.reduce((n, d) => n * d, 1);
  checkOperands(program, sizes, count, inputs, outputs);
  const registers = new Float64Array(program.registers);
  program.constants.forEach(({ kind, value }, i) => {
    const v = typeof value === 'number' ? value : scalars[value.scalar];
    if (v === undefined)
      throw new IngotError('invalid_argument', `no value for the plan scalar ${JSON.stringify(value)}`);
    registers[inputs.length + i] = toRegister(kind, v);
  });
  const steps = linearise(program);
  const index = new Array<number>(sizes.length).fill(0);
  for (let element = 0; element < count; element++) {
    inputs.forEach(({ data, dtype, strides }, i) => {
      let at = 0;
      for (let d = 0; d < strides.length; d++) at += (strides[d] as number) * (index[d] as number);
      registers[i] = readElement(data, dtype, at);
    });
    for (const { f, kind, dst, a, b, c } of steps) {
      registers[dst] = toRegister(
        kind,
        f(registers[a] as number, registers[b] as number, registers[c] as number),
      );
    }
    outputs.forEach(({ data, dtype }, o) => {
      writeElement(data, dtype, element, registers[program.results[o]?.register ?? 0] as number);
    });
    for (let d = sizes.length - 1; d >= 0; d--) {
      index[d] = (index[d] as number) + 1;
      if ((index[d] as number) < (sizes[d] as number)) break;
      index[d] = 0;
    }
  }
}

/** Instructions with their functions and the kind of what they write. */
function linearise(program: TileProgram) {
  const kinds: (RegisterKind | undefined)[] = [...program.inputs, ...program.constants.map((c) => c.kind)];
  return program.instructions.map(({ opcode, dst, args }) => {
    const result = findOpcode(opcode)?.result ?? 'any';
    const kind = result === 'any' ? kinds[args.at(-1) ?? 0] : result;
    invariant(kind !== undefined, `${opcode} reads a register that nothing has written`);
    kinds[dst] = kind;
    return { f: scalarFunctions[opcode], kind, dst, a: args[0] ?? 0, b: args[1] ?? 0, c: args[2] ?? 0 };
  });
}

function checkOperands(
  program: TileProgram,
  sizes: readonly number[],
  count: number,
  inputs: readonly TileOperand[],
  outputs: readonly TileOutput[],
): void {
  if (inputs.length !== program.inputs.length || outputs.length !== program.results.length) {
    throw new IngotError(
      'invalid_argument',
      `the program has ${program.inputs.length} inputs and ${program.results.length} results, got ${inputs.length} and ${outputs.length}`,
    );
  }
  inputs.forEach(({ data, dtype, strides }, i) => {
    if (registerKind(dtype) !== program.inputs[i] || strides.length !== sizes.length) {
      throw new IngotError(
        'invalid_argument',
        `input ${i}: ${dtype} with ${strides.length} strides does not fit the program`,
      );
    }
    const last = strides.reduce((n, s, d) => n + s * ((sizes[d] as number) - 1), 0);
    if (count > 0 && last >= data.length) {
      throw new IngotError(
        'invalid_argument',
        `input ${i} has ${data.length} elements, element ${last} is read`,
      );
    }
  });
  outputs.forEach(({ data, dtype }, o) => {
    if (registerKind(dtype) === program.results[o]?.kind && data.length >= count) return;
    throw new IngotError(
      'invalid_argument',
      `output ${o}: ${dtype} of ${data.length} elements does not fit ${count} results`,
    );
  });
}

function readElement(data: TypedArray, dtype: DType, at: number): number {
  const x = data[at] as number;
  if (dtype === 'f16') return f16ToF32(x);
  if (dtype === 'bf16') return bf16ToF32(x);
  return dtype === 'bool' ? toRegister('bool', x) : x;
}

function writeElement(data: TypedArray, dtype: DType, at: number, x: number): void {
  data[at] = dtype === 'f16' ? f32ToF16(x) : dtype === 'bf16' ? f32ToBf16(x) : x;
}
