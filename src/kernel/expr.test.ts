// Kind checking of expressions.
import { describe, expect, it } from 'vitest';
import { IngotError } from '../base/errors.ts';
import { binary, cast, constant, input, instruction, registerKind, select, unary } from './expr.ts';
import { findOpcode, opcodeByCode, tileOpcodes } from './tile-opcodes.ts';

const x = input(0, 'f32');
const i = input(1, 'i32');

describe('opcode table', () => {
  it('numbers instructions by row and finds them both ways', () => {
    tileOpcodes.forEach(([name], code) => {
      expect(findOpcode(name)?.code).toBe(code);
      expect(opcodeByCode(code)?.name).toBe(name);
    });
    expect(findOpcode('nothing')).toBeUndefined();
    expect(opcodeByCode(tileOpcodes.length)).toBeUndefined();
  });
});

describe('expressions', () => {
  it('pick the instruction of the operand kind', () => {
    expect(binary('add', x, x)).toMatchObject({ opcode: 'add_f32', kind: 'f32' });
    expect(binary('add', i, i)).toMatchObject({ opcode: 'add_i32', kind: 'i32' });
    expect(binary('lt', i, i)).toMatchObject({ opcode: 'lt_i32', kind: 'bool' });
    expect(select(binary('lt', i, i), x, x).kind).toBe('f32');
    expect(select(binary('lt', i, i), i, i).kind).toBe('i32');
    expect(instruction('silu_f32', [x]).kind).toBe('f32');
  });

  it('cast only where kinds differ', () => {
    expect(cast(x, 'f32')).toBe(x);
    for (const to of ['i32', 'u32', 'bool'] as const) expect(cast(x, to).kind).toBe(to);
    for (const from of ['i32', 'u32', 'bool'] as const) expect(cast(input(0, from), 'f32').kind).toBe('f32');
  });

  it('say what does not fit and what to do', () => {
    expect(() => unary('exp', i)).toThrow('exp is not defined for i32: cast to f32');
    expect(() => binary('exp', x, x)).toThrow('there is no such operation of 2 operands');
    expect(() => binary('add', x, i)).toThrow('add_f32: operand 1 is i32, expected f32: cast it');
    expect(() => select(x, x, x)).toThrow('select: operand 0 is f32, expected bool');
    expect(() => select(binary('lt', x, x), x, i)).toThrow('select: operand 2 is i32, expected f32');
    expect(() => instruction('add_f32', [x])).toThrow('add_f32 takes 2 operands, got 1');
    expect(() => constant(1.5, 'i32')).toThrow('1.5 is not an integer');
    expect(() => constant(-1, 'u32')).toThrow('does not fit u32');
    expect(() => constant(Number.NaN, 'i32')).toThrow(IngotError);
    expect(constant(0.1).value).toBe(Math.fround(0.1));
  });

  it('hold every dtype in a register kind', () => {
    const kinds = (['f32', 'f16', 'bf16', 'i32', 'i8', 'u32', 'u8', 'bool'] as const).map(registerKind);
    expect(kinds).toEqual(['f32', 'f32', 'f32', 'i32', 'i32', 'u32', 'u32', 'bool']);
  });
});
