// The functions of a reduction in WGSL, from its description in the expression language: `start lifted joined finished` over a
// struct `State`, and the words of a state in memory.

import type { Expr } from '../expr.ts';
import { reduction } from '../reductions.ts';
import type { ReductionKind } from '../signature.ts';
import type { RegisterKind } from '../tile-opcodes.ts';
import { buildTileProgram } from '../tile-program.ts';
import { emitFunction } from './emit.ts';

export interface ReduceCode {
  readonly kind: ReductionKind;
  /** Functions that need the types and functions of math.ts for one lane. */
  readonly text: string;
  /** Words of a state. */
  readonly words: number;
  /** Statements that store a state: word c at `place(c)`. */
  storePart(state: string, place: (c: number) => string): readonly string[];
  /** `part_at(chunk, line, lines)`: a state that was stored, of so many chunks per line. */
  partAt(chunks: number): string;
}

const types: Readonly<Record<RegisterKind, string>> = { f32: 'f32', i32: 'i32', u32: 'u32', bool: 'bool' };

/** The reduction of elements held as `element` in registers. */
export function reduceFunctions(kind: ReductionKind, element: RegisterKind): ReduceCode {
  const { state, start, lift, join, finish } = reduction(kind, element);
  const members = state.map((k, i) => `s${i}: ${types[k]}`).join(', ');
  const emit = (name: string, inputs: readonly RegisterKind[], results: readonly Expr[]): string =>
    emitFunction(buildTileProgram(inputs, results), { name });
  /** A call of a function with the state's results, as a State. */
  const asState = (call: string): string =>
    state.length === 1
      ? `return State(${call});`
      : `let r = ${call}; return State(${state.map((_, i) => `r.r${i}`).join(', ')});`;
  const of = (name: string): string => state.map((_, i) => `${name}.s${i}`).join(', ');
  const text = `struct State { ${members} }
${emit('start_values', [], start)}${emit('lift_values', [element, 'i32'], lift)}${emit('join_values', [...state, ...state], join)}${emit('finish_value', [...state, 'f32'], [finish])}
fn start() -> State { ${asState('start_values()')} }
fn lifted(x: ${types[element]}, place: i32) -> State { ${asState('lift_values(x, place)')} }
fn joined(a: State, b: State) -> State { ${asState(`join_values(${of('a')}, ${of('b')})`)} }
fn finished(a: State, n: f32) -> ${types[finish.kind]} { return finish_value(${of('a')}, n); }
`;
  const bits = (k: RegisterKind, x: string): string =>
    k === 'bool' ? `select(0u, 1u, ${x})` : `bitcast<u32>(${x})`;
  const value = (k: RegisterKind, x: string): string =>
    k === 'bool' ? `${x} != 0u` : `bitcast<${types[k]}>(${x})`;
  return {
    kind,
    text,
    words: state.length,
    storePart: (from, place) => state.map((k, c) => `${place(c)} = ${bits(k, `${from}.s${c}`)};`),
    partAt: (chunks) => {
      const words = state.map((k, c) => value(k, `parts[(${c * chunks}u + chunk) * lines + line]`));
      return `fn part_at(chunk: u32, line: u32, lines: u32) -> State { return State(${words.join(', ')}); }\n`;
    },
  };
}
