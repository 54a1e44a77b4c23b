// Tile programs as WGSL: a function `program(x0, x1, …)` over one element or four, with the functions it calls.

import type { DType } from '../../base/dtype.ts';
import { invariant } from '../../base/errors.ts';
import { findOpcode, type RegisterKind } from '../tile-opcodes.ts';
import type { TileConstant, TileProgram } from '../tile-program.ts';
import { floatLiteral } from './contract.ts';
import { calledFunctions, type Lanes, mathFunctions, valueTypes } from './math.ts';
import { wgslOpcodes } from './opcodes.ts';
import { storageFunctions } from './storage.ts';

export interface EmitOptions {
  /** Elements per value. Default 1. */
  readonly lanes?: Lanes;
  /** Name of the function. Default `program`. */
  readonly name?: string;
  /** A constant that is a plan scalar, as an expression of its kind. */
  readonly scalar?: (constant: TileConstant, index: number) => string;
}

/** Alias of the type of a value (math.ts). */
export const valueType: Readonly<Record<RegisterKind, string>> = { f32: 'F', i32: 'I', u32: 'U', bool: 'B' };

/** `fn name(x0: F, …) -> F`; several results come as a struct `NameResult` with members r0, r1, …. */
export function emitFunction(program: TileProgram, options: EmitOptions = {}): string {
  const { name = 'program', scalar } = options;
  const names: string[] = program.inputs.map((_, i) => `x${i}`);
  const kinds: RegisterKind[] = [...program.inputs, ...program.constants.map((c) => c.kind)];
  const lines = program.constants.map((c, i) => {
    names.push(`c${i}`);
    return `let c${i} = ${valueType[c.kind]}(${constantText(c, i, scalar)});`;
  });
  program.instructions.forEach(({ opcode, dst, args }, i) => {
    const operand = (k: number): string => names[args[k] ?? 0] ?? '';
    const result = findOpcode(opcode)?.result ?? 'any';
    const kind = result === 'any' ? kinds[args.at(-1) ?? 0] : result;
    invariant(kind !== undefined, `${opcode} reads a register that nothing has written`);
    lines.push(`let v${i}: ${valueType[kind]} = ${wgslOpcodes[opcode](operand(0), operand(1), operand(2))};`);
    names[dst] = `v${i}`;
    kinds[dst] = kind;
  });
  const parameters = program.inputs.map((kind, i) => `x${i}: ${valueType[kind]}`).join(', ');
  const results = program.results.map((r) => names[r.register] ?? '');
  const types = program.results.map((r) => valueType[r.kind]);
  const single = results.length === 1;
  const struct = `${name[0]?.toUpperCase()}${name.slice(1)}Result`;
  const declared = single ? '' : `struct ${struct} { ${types.map((t, i) => `r${i}: ${t}`).join(', ')} }\n`;
  const body = [...lines, `return ${single ? results[0] : `${struct}(${results.join(', ')})`};`];
  return `${declared}fn ${name}(${parameters}) -> ${single ? types[0] : struct} {\n  ${body.join('\n  ')}\n}\n`;
}

/** A whole program: types, the functions it calls, and `program`. What user kernels are made of. */
export function emitWgsl(program: TileProgram, options: EmitOptions = {}): string {
  const { lanes = 1 } = options;
  return withFunctions(emitFunction(program, options), lanes);
}

/** `code` with the types it is written in and the functions it calls; `outputs` are what its results are stored as. */
export function withFunctions(code: string, lanes: Lanes, outputs: readonly DType[] = []): string {
  const loose = outputs.length > 0 && outputs.every((dtype) => dtype === 'f16' || dtype === 'bf16');
  return `${valueTypes(lanes)}${calledFunctions({ ...storageFunctions, ...mathFunctions(lanes, loose) }, code)}${code}`;
}

function constantText(c: TileConstant, index: number, scalar: EmitOptions['scalar']): string {
  if (typeof c.value === 'number') return literal(c.value, c.kind);
  invariant(scalar !== undefined, `no expression for the plan scalar ${c.value.scalar}`);
  return scalar(c, index);
}

/** A number as a WGSL expression of a kind. */
export function literal(value: number, kind: RegisterKind): string {
  switch (kind) {
    case 'f32': {
      const x = Math.fround(value);
      if (Number.isNaN(x)) return 'not_a_number()';
      if (!Number.isFinite(x)) return x > 0 ? 'infinity()' : '-infinity()';
      return Object.is(x, -0) ? 'bitcast<f32>(0x80000000u)' : floatLiteral(x);
    }
    case 'i32':
      return `i32(${value})`;
    case 'u32':
      return `${value}u`;
    case 'bool':
      return value === 0 ? 'false' : 'true';
    default:
      return kind satisfies never;
  }
}
