// The parameter block of a `tile` dispatch (docs/cpu-kernels.md, "Tile programs") read back into a program.

import { invariant } from '../base/errors.ts';
import { registerKind } from './expr.ts';
import type { PlacedInstruction } from './registers.ts';
import { nameOf, type Param, type ParamPlace, placesOf } from './signature.ts';
import { findOpcode, opcodeByCode, type RegisterKind } from './tile-opcodes.ts';
import type { TileConstant, TileLayout, TileProgram } from './tile-program.ts';

export interface DecodedTile {
  readonly program: TileProgram;
  readonly layout: TileLayout;
  /** Place of each constant's value among the params. */
  readonly constantParams: readonly ParamPlace[];
}

/** Throws internal for a block that is not one. */
export function decodeTileProgram(params: readonly Param[]): DecodedTile {
  const places = placesOf('tile', params).params;
  const at = (place: ParamPlace): Param => params[place] ?? 0;
  const number = (place: ParamPlace): number => {
    const p = at(place);
    invariant(typeof p === 'number', `param ${place} of a tile program varies`);
    return p;
  };
  const inputs = places.inputs.map(({ dtype, strides }) => ({
    dtype: nameOf('dtype', at(dtype)),
    strides: strides.map(at),
  }));
  const outputs = places.outputs.map(({ dtype }) => nameOf('dtype', at(dtype)));
  const constants = places.constants.map(({ dtype, value: place }): TileConstant => {
    const value = at(place);
    const kind = registerKind(nameOf('dtype', at(dtype)));
    return { kind, value: typeof value === 'number' ? value : { scalar: value.scalar } };
  });
  const kinds: RegisterKind[] = [
    ...inputs.map((i) => registerKind(i.dtype)),
    ...constants.map((c) => c.kind),
  ];
  const instructions = places.instructions.map(({ opcode, dst, a, b, c }): PlacedInstruction => {
    const info = opcodeByCode(number(opcode));
    invariant(info !== undefined, `param ${opcode} of a tile program is no opcode`);
    const args = [number(a), number(b), number(c)].slice(0, info.arity);
    const kind = findOpcode(info.name)?.result === 'any' ? kinds[args.at(-1) ?? 0] : info.result;
    invariant(kind !== undefined && kind !== 'any', `${info.name} reads a register that nothing has written`);
    kinds[number(dst)] = kind;
    return { opcode: info.name, dst: number(dst), args };
  });
  const results = places.results.map((place) => {
    const register = number(place);
    return { register, kind: kinds[register] ?? 'f32' };
  });
  const constantParams = places.constants.map((c) => c.value);
  const [count, sizes] = [at(places.count), places.sizes.map(at)];
  const program = {
    inputs: kinds.slice(0, inputs.length),
    constants,
    instructions,
    results,
    registers: kinds.length,
  };
  return { program, layout: { sizes, count, inputs, outputs }, constantParams };
}
