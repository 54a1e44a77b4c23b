// The parameter block of a `tile` dispatch (docs/cpu-kernels.md, "Tile programs") read back into a program: what
// `encodeTileProgram` wrote.

import { invariant } from '../base/errors.ts';
import { registerKind } from './expr.ts';
import type { PlacedInstruction } from './registers.ts';
import { nameOf, type Param } from './signature.ts';
import { findOpcode, opcodeByCode, type RegisterKind } from './tile-opcodes.ts';
import type { TileConstant, TileLayout, TileProgram } from './tile-program.ts';

export interface DecodedTile {
  readonly program: TileProgram;
  readonly layout: TileLayout;
  /** Place of each constant's value among the params. */
  readonly constantParams: readonly number[];
}

/** Throws internal for a block that is not one. */
export function decodeTileProgram(params: readonly Param[]): DecodedTile {
  let at = 0;
  const next = (): Param => {
    const p = params[at++];
    invariant(p !== undefined, 'the parameter block of a tile program ends early');
    return p;
  };
  const number = (): number => {
    const p = next();
    invariant(typeof p === 'number', `param ${at - 1} of a tile program varies`);
    return p;
  };
  const times = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);
  const count = next();
  const [nIn, nOut, rank] = [number(), number(), number()];
  const sizes = times(rank, next);
  const inputs = times(nIn, () => ({ dtype: nameOf('dtype', next()), strides: times(rank, next) }));
  const outputs = times(nOut, () => nameOf('dtype', next()));
  const constantParams: number[] = [];
  const constants = times(number(), (): TileConstant => {
    const kind = registerKind(nameOf('dtype', next()));
    constantParams.push(at);
    const value = next();
    return { kind, value: typeof value === 'number' ? value : { scalar: value.scalar } };
  });
  const kinds: RegisterKind[] = [
    ...inputs.map((i) => registerKind(i.dtype)),
    ...constants.map((c) => c.kind),
  ];
  const instructions = times(number(), (): PlacedInstruction => {
    const info = opcodeByCode(number());
    invariant(info !== undefined, `param ${at - 1} of a tile program is no opcode`);
    const dst = number();
    const args = [number(), number(), number()].slice(0, info.arity);
    const kind = findOpcode(info.name)?.result === 'any' ? kinds[args.at(-1) ?? 0] : info.result;
    invariant(kind !== undefined && kind !== 'any', `${info.name} reads a register that nothing has written`);
    kinds[dst] = kind;
    return { opcode: info.name, dst, args };
  });
  const results = times(nOut, () => {
    const register = number();
    return { register, kind: kinds[register] ?? 'f32' };
  });
  const program = { inputs: kinds.slice(0, nIn), constants, instructions, results, registers: kinds.length };
  return { program, layout: { sizes, count, inputs, outputs }, constantParams };
}
