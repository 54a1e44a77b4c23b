// Register allocation for tile programs: from one fresh register per instruction to as few as the lifetimes allow.
// Fewer registers mean longer tiles in the L1 cache.

import { IngotError } from '../base/errors.ts';
import { findOpcode, type TileOpcode } from './tile-opcodes.ts';

/** Register numbers the native interpreter can address. */
export const maxRegisters = 256;

/** An instruction whose operands are register numbers. */
export interface Instruction {
  readonly opcode: TileOpcode;
  readonly args: readonly number[];
}
export interface PlacedInstruction extends Instruction {
  readonly dst: number;
}

export interface Placement {
  readonly instructions: readonly PlacedInstruction[];
  readonly results: readonly number[];
  /** All registers: inputs, constants and temporaries. */
  readonly registers: number;
}

/**
 * Instruction i of `instructions` defines value `fixed + i`; values below `fixed` are inputs and constants, which are never
 * overwritten. Returns the same program with temporaries reused after their last read; results live to the end.
 * Temporaries are numbered in the order of their first use. Throws invalid_argument above 256 registers.
 */
export function placeRegisters(
  fixed: number,
  instructions: readonly Instruction[],
  results: readonly number[],
): Placement {
  const lastRead = new Map<number, number>();
  instructions.forEach(({ args }, i) => {
    for (const value of args) lastRead.set(value, i);
  });
  for (const value of results) lastRead.set(value, instructions.length);

  const place = new Map<number, number>();
  const free: number[] = [];
  let registers = fixed;
  const where = (value: number): number => {
    const register = value < fixed ? value : place.get(value);
    if (register === undefined) {
      throw new IngotError('internal', `internal: tile value ${value} is read before it is defined`);
    }
    return register;
  };
  const placed = instructions.map(({ opcode, args }, i): PlacedInstruction => {
    const operands = args.map(where);
    // operands that die here give their registers back first: an instruction may write a register it reads
    for (const value of new Set(args)) {
      if (value >= fixed && lastRead.get(value) === i) free.push(where(value));
    }
    free.sort((a, b) => b - a);
    const dst = free.pop() ?? registers++;
    place.set(fixed + i, dst);
    if (!lastRead.has(fixed + i)) free.push(dst); // never read
    return { opcode, dst, args: operands };
  });
  if (registers > maxRegisters) {
    throw new IngotError(
      'invalid_argument',
      `the elementwise program needs ${registers} registers, ${maxRegisters} are the limit: split it`,
      { details: { registers } },
    );
  }
  return { instructions: placed, results: results.map(where), registers };
}

/** The number of an instruction in the native enum. */
export function opcodeNumber(opcode: TileOpcode): number {
  const info = findOpcode(opcode);
  if (info === undefined) throw new IngotError('internal', `internal: no tile instruction ${opcode}`);
  return info.code;
}
