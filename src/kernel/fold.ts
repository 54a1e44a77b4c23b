// Folds: passes over the lines of arrays, each of which makes accumulators of a line, and what is written at the end. Expressions
// only: devices and the graph make of it what they can.

import type { Expr } from './expr.ts';
import type { RegisterKind } from './tile-opcodes.ts';

/**
 * One pass. Inputs of its expressions, in order: `update` has the operands, the place along the line as i32, the results of
 * earlier passes, the accumulators; `combine` the accumulators of two sets; `finish` those of the line, then earlier results.
 * Combining is associative and commutative, and the start changes nothing.
 */
export interface FoldPass {
  readonly state: readonly RegisterKind[];
  /** Without inputs. */
  readonly start: readonly Expr[];
  readonly update: readonly Expr[];
  readonly combine: readonly Expr[];
  readonly finish: readonly Expr[];
}

export interface FoldProgram {
  readonly operands: readonly RegisterKind[];
  readonly passes: readonly FoldPass[];
  /** Per element: inputs are the operands, the place, and the results of all passes. Absent: the results of the last pass are written. */
  readonly write?: readonly Expr[];
}

/** Kinds of the results of passes 0 … count - 1, in order. */
export const resultKinds = ({ passes }: FoldProgram, count = passes.length): readonly RegisterKind[] =>
  passes.slice(0, count).flatMap((p) => p.finish.map((e) => e.kind));

/** The operation when an accumulator is joined by one alone, `a + b`. */
export type PlainCombine = 'add' | 'mul' | 'min' | 'max' | 'and' | 'or';

export function plainCombine(pass: FoldPass, i: number): PlainCombine | undefined {
  const e = pass.combine[i];
  if (e?.node !== 'op' || e.operands.length !== 2) return undefined;
  const places = e.operands.map((x) => (x.node === 'input' ? x.index : -1)).sort((a, b) => a - b);
  if (places[0] !== i || places[1] !== i + pass.state.length) return undefined;
  const name = e.opcode.replace(/_\w+$/, '');
  const logical = name === 'and' || name === 'or';
  if (logical) return e.kind === 'bool' ? name : undefined;
  return name === 'add' || name === 'mul' || name === 'min' || name === 'max' ? name : undefined;
}
