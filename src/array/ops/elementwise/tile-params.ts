// Elementwise programs as the `tile` kernel takes them (docs/cpu-kernels.md, "Tile programs"): types and parameter block.

import type { DType } from '../../../base/dtype.ts';
import { invariant } from '../../../base/errors.ts';
import { elementCount, isDynamic, type Shape } from '../../../base/shape.ts';
import type { KernelParams, Param } from '../../../kernel/signature.ts';
import { findOpcode, type TileOpcode } from '../../../kernel/tile-opcodes.ts';
import type { LowerContext } from '../../op.ts';
import type { Scalar, ValueType } from '../../types.ts';
import { countParam, operand, scalarParam } from '../operands.ts';

export interface ElementwiseConstant {
  readonly dtype: DType;
  readonly value: Scalar;
}

/** Operands are register numbers: inputs first, then constants, then one register per instruction in order. */
export interface ElementwiseInstruction {
  readonly opcode: TileOpcode;
  readonly args: readonly number[];
}

export interface ElementwiseProgram {
  readonly constants: readonly ElementwiseConstant[];
  readonly instructions: readonly ElementwiseInstruction[];
  /** Registers that hold the results, one for each output. */
  readonly results: readonly number[];
}

/** Emits one `tile` dispatch that computes the outputs, which have one shape, from all inputs, which broadcast to it. */
export function lowerTile<A>(context: LowerContext<A>, program: ElementwiseProgram): void {
  const inputs = context.inputs.flatMap((v) => (v === null ? [] : [v]));
  const params = tileParams(
    inputs.map((v) => v.type),
    context.outputs.map((v) => v.type),
    program,
  );
  const outputs = context.outputs.map((y) => ({ y }));
  context.emit('tile', { inputs: inputs.map((x) => ({ x })), outputs }, params);
}

/** The parameter block of a program over these operands. */
export function tileParams(
  inputs: readonly ValueType[],
  outputs: readonly ValueType[],
  program: ElementwiseProgram,
): KernelParams<'tile'> {
  const { shape } = operand(outputs, 0);
  const { groups, strides } = mergedAxes(
    inputs.map((t) => t.shape),
    shape,
  );
  const base = inputs.length + program.constants.length;
  return {
    count: countParam(elementCount(shape)),
    sizes: groups.map((g) => countParam(elementCount(g))),
    inputs: inputs.map(({ dtype }, i) => ({ dtype, strides: operand(strides, i) })),
    outputs: outputs.map(({ dtype }) => ({ dtype })),
    constants: program.constants.map(({ dtype, value }) => ({
      dtype: constantDtype(dtype),
      value: scalarParam(value),
    })),
    instructions: program.instructions.map(({ opcode, args: [a = 0, b = 0, c = 0] }, i) => {
      const info = findOpcode(opcode);
      invariant(info !== undefined, `no tile instruction ${opcode}`);
      return { opcode: info.code, dst: base + i, a, b, c };
    }),
    results: program.results,
  };
}

/** Constants live in registers, which have four kinds. */
const constantDtype = (dtype: DType): DType => {
  if (dtype === 'i8') return 'i32';
  if (dtype === 'u8') return 'u32';
  return dtype === 'f16' || dtype === 'bf16' ? 'f32' : dtype;
};

/**
 * Joins neighbouring axes along which every operand is either whole or broadcast, so that the kernel walks few axes.
 * Returns the axes of each group and, per input, the stride of each group in elements.
 */
function mergedAxes(
  inputs: readonly Shape[],
  out: Shape,
): { readonly groups: readonly Shape[]; readonly strides: readonly (readonly Param[])[] } {
  const groups: Shape[] = [];
  const masks: string[] = [];
  out.forEach((d, axis) => {
    if (d === 1) return;
    const mask = inputs.map((s) => (isBroadcast(s, out, axis) ? '0' : '1')).join('');
    const last = groups.length - 1;
    if (masks[last] === mask) groups[last] = [...(groups[last] as Shape), d];
    else {
      groups.push([d]);
      masks.push(mask);
    }
  });
  const strides = inputs.map((_, i) => {
    const present = groups.map((_, g) => masks[g]?.[i] === '1');
    return groups.map((_, g): Param => {
      if (!present[g]) return 0;
      const inner = groups.slice(g + 1).filter((_, k) => present[g + 1 + k]);
      return countParam(elementCount(inner.flat()));
    });
  });
  return { groups, strides };
}

function isBroadcast(s: Shape, out: Shape, axis: number): boolean {
  const d = s[axis - (out.length - s.length)];
  return d === undefined || (!isDynamic(d) && d === 1);
}
