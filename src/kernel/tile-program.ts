// From result expressions to a tile program: a linear instruction list with common subexpressions computed once and
// registers reused.

import type { DType } from '../base/dtype.ts';
import { IngotError } from '../base/errors.ts';
import type { Expr } from './expr.ts';
import { type Instruction, type PlacedInstruction, placeRegisters } from './registers.ts';
import type { Param } from './signature.ts';
import type { RegisterKind } from './tile-opcodes.ts';

/** A constant register: known now, or a plan scalar known when the plan runs. */
export interface TileConstant {
  readonly kind: RegisterKind;
  readonly value: number | { readonly scalar: string };
}

/** Registers: inputs first, then constants, then temporaries. */
export interface TileProgram {
  readonly inputs: readonly RegisterKind[];
  readonly constants: readonly TileConstant[];
  readonly instructions: readonly PlacedInstruction[];
  /** Register and kind of each result. */
  readonly results: readonly { readonly register: number; readonly kind: RegisterKind }[];
  readonly registers: number;
}

/** `a op b` equals `b op a` for these, so that both orders are one subexpression. */
const commutative = /^(add|mul|min|max|and|or|xor|eq|ne)_/;

/** Values are numbered as they are met; equal keys are equal values. */
interface Numbering {
  readonly inputs: readonly RegisterKind[];
  readonly ids: Map<string, number>;
  readonly constants: TileConstant[];
  readonly instructions: { readonly opcode: Instruction['opcode']; readonly args: readonly ValueRef[] }[];
}
type ValueRef = string; // 'i3' input, 'c0' constant, 'v7' instruction

/**
 * Compiles expressions over `inputs` (the register kind of each input) to a program with one result per expression.
 * Throws invalid_argument for an input that does not exist or has another kind, and above 256 registers.
 */
export function buildTileProgram(inputs: readonly RegisterKind[], results: readonly Expr[]): TileProgram {
  const numbering: Numbering = { inputs, ids: new Map(), constants: [], instructions: [] };
  const known = new Map<Expr, ValueRef>();
  const refs = results.map((expr) => visit(numbering, known, expr));
  const fixed = inputs.length + numbering.constants.length;
  const number = (ref: ValueRef): number => {
    const n = Number(ref.slice(1));
    if (ref[0] === 'i') return n;
    return ref[0] === 'c' ? inputs.length + n : fixed + n;
  };
  const placement = placeRegisters(
    fixed,
    numbering.instructions.map(({ opcode, args }) => ({ opcode, args: args.map(number) })),
    refs.map(number),
  );
  return {
    inputs,
    constants: numbering.constants,
    instructions: placement.instructions,
    results: placement.results.map((register, i) => ({ register, kind: (results[i] as Expr).kind })),
    registers: placement.registers,
  };
}

/** Post-order over the graph with an own stack: chains may be longer than the call stack is deep. */
function visit(numbering: Numbering, known: Map<Expr, ValueRef>, root: Expr): ValueRef {
  const stack: Expr[] = [root];
  for (let expr = stack.at(-1); expr !== undefined; expr = stack.at(-1)) {
    if (!known.has(expr) && expr.node === 'op') {
      const missing = expr.operands.filter((x) => !known.has(x));
      if (missing.length > 0) {
        stack.push(...missing.reverse());
        continue;
      }
    }
    if (!known.has(expr)) known.set(expr, define(numbering, known, expr));
    stack.pop();
  }
  return known.get(root) as ValueRef;
}

function define(numbering: Numbering, known: ReadonlyMap<Expr, ValueRef>, expr: Expr): ValueRef {
  switch (expr.node) {
    case 'input': {
      const kind = numbering.inputs[expr.index];
      if (kind === expr.kind) return `i${expr.index}`;
      const found = kind === undefined ? `there are ${numbering.inputs.length} inputs` : `it is ${kind}`;
      throw new IngotError('invalid_argument', `input ${expr.index} of kind ${expr.kind}: ${found}`);
    }
    case 'constant':
      return constantRef(numbering, { kind: expr.kind, value: expr.value });
    case 'scalar':
      return constantRef(numbering, { kind: expr.kind, value: { scalar: expr.name } });
    case 'op': {
      const args = expr.operands.map((x) => known.get(x) as ValueRef);
      const ordered = commutative.test(expr.opcode) ? [...args].sort() : args;
      return unique(numbering, `${expr.opcode} ${ordered.join(' ')}`, 'v', () => {
        numbering.instructions.push({ opcode: expr.opcode, args });
        return numbering.instructions.length - 1;
      });
    }
    default:
      return expr satisfies never;
  }
}

function constantRef(numbering: Numbering, constant: TileConstant): ValueRef {
  const { kind, value } = constant;
  const text =
    typeof value !== 'number' ? `scalar ${value.scalar}` : Object.is(value, -0) ? '-0' : String(value);
  return unique(numbering, `${kind} ${text}`, 'c', () => numbering.constants.push(constant) - 1);
}

function unique(numbering: Numbering, key: string, prefix: string, make: () => number): ValueRef {
  const id = numbering.ids.get(key) ?? make();
  numbering.ids.set(key, id);
  return `${prefix}${id}`;
}

/** The iteration space and the operands of one run of a program. */
export interface TileLayout {
  /** Outermost first. */
  readonly sizes: readonly Param[];
  /** Product of the sizes. */
  readonly count: Param;
  /** Per input; strides in elements, 0 broadcasts. */
  readonly inputs: readonly { readonly dtype: DType; readonly strides: readonly Param[] }[];
  readonly outputs: readonly DType[];
}
