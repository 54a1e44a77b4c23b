// Compilation of expressions: sharing, register reuse, encoding; random programs give what the expressions mean.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeTileProgram } from '../testing/tile-params.ts';
import { evaluateTileProgram } from './evaluate.ts';
import { binary, cast, constant, type Expr, input, scalar, select, unary } from './expr.ts';
import { placeRegisters } from './registers.ts';
import { scalarFunctions, toRegister } from './scalar-functions.ts';
import { type RegisterKind, tileOpcodes } from './tile-opcodes.ts';
import { buildTileProgram } from './tile-program.ts';

const x = input(0, 'f32');
const y = input(1, 'f32');

describe('common subexpressions', () => {
  it('are computed once, whichever way they were built', () => {
    const sum = binary('add', x, y);
    const program = buildTileProgram(
      ['f32', 'f32'],
      [binary('mul', sum, binary('add', y, x)), unary('exp', binary('add', x, y))],
    );
    expect(program.instructions.map((i) => i.opcode)).toEqual(['add_f32', 'mul_f32', 'exp_f32']);
  });
  it('keep the order of what does not commute', () => {
    const program = buildTileProgram(['f32', 'f32'], [binary('sub', x, y), binary('sub', y, x)]);
    expect(program.instructions).toHaveLength(2);
  });
  it('share constants by kind and value, and keep the sign of zero', () => {
    const terms = [
      constant(1),
      constant(1),
      constant(0),
      constant(-0),
      scalar('s', 'f32'),
      scalar('s', 'f32'),
    ];
    const program = buildTileProgram(
      ['f32'],
      [terms.reduce<Expr>((a, c) => binary('add', a, c), x), cast(constant(1, 'i32'), 'f32')],
    );
    expect(program.constants.map((c) => c.value)).toEqual([1, 0, -0, { scalar: 's' }, 1]);
  });
});

describe('registers', () => {
  it('are reused: a chain needs one temporary, however long', () => {
    let e: Expr = x;
    for (let i = 0; i < 20_000; i++) e = unary(i % 2 ? 'neg' : 'abs', e);
    const program = buildTileProgram(['f32'], [e]);
    expect(program.registers).toBe(2);
    expect(program.instructions).toHaveLength(20_000);
  });
  it('of results are never overwritten', () => {
    const a = unary('exp', x);
    const b = unary('log', a);
    const program = buildTileProgram(['f32'], [a, unary('neg', b), b]);
    expect(new Set(program.results.map((r) => r.register)).size).toBe(3);
  });
  it('may be an input or a constant for a result', () => {
    const program = buildTileProgram(['f32'], [x, constant(3)]);
    expect(program.results.map((r) => r.register)).toEqual([0, 1]);
    expect(program.instructions).toHaveLength(0);
  });
  it('are limited, with a message', () => {
    const many = Array.from({ length: 300 }, (_, i) => binary('add', x, constant(i)));
    expect(() => buildTileProgram(['f32'], many)).toThrow('registers, 256 are the limit: split it');
  });
  it('refuse to read what is not defined', () => {
    expect(() => placeRegisters(1, [{ opcode: 'neg_f32', args: [3] }], [1])).toThrow(
      'read before it is defined',
    );
  });
});

describe('inputs', () => {
  it('must exist with the declared kind', () => {
    expect(() => buildTileProgram(['f32'], [y])).toThrow('input 1 of kind f32: there are 1 inputs');
    expect(() => buildTileProgram(['i32'], [x])).toThrow('input 0 of kind f32: it is i32');
  });
});

describe('encoding', () => {
  it('follows docs/cpu-kernels.md', () => {
    const program = buildTileProgram(
      ['f32', 'f32'],
      [binary('mul', unary('silu', x), binary('add', y, scalar('s', 'f32')))],
    );
    const params = encodeTileProgram(program, {
      count: { scalar: 'rows', mul: 5, add: 0 },
      sizes: [{ scalar: 'rows', mul: 1, add: 0 }, 5],
      inputs: [
        { dtype: 'f16', strides: [5, 1] },
        { dtype: 'f32', strides: [0, 1] },
      ],
      outputs: ['bf16'],
    });
    const code = (name: string): number => tileOpcodes.findIndex(([n]) => n === name);
    const rows = (mul: number) => ({ scalar: 'rows', mul, add: 0 });
    expect(params).toEqual([
      ...[rows(5), 2, 1, 2, rows(1), 5], // count, inputs, outputs, rank, sizes
      ...[1, 5, 1, 0, 0, 1, 2], // per input dtype and strides, output dtype
      ...[1, 0, { scalar: 's', mul: 1, add: 0 }], // constants
      ...[3, code('silu_f32'), 3, 0, 0, 0, code('add_f32'), 4, 1, 2, 0, code('mul_f32'), 3, 3, 4, 0],
      3,
    ]);
  });
});

/** Meaning of an expression on one element, without a program. */
function meaning(e: Expr, inputs: readonly number[]): number {
  switch (e.node) {
    case 'input':
      return inputs[e.index]!;
    case 'constant':
      return e.value;
    case 'scalar':
      return 0;
    case 'op': {
      const [a = 0, b = 0, c = 0] = e.operands.map((o) => meaning(o, inputs));
      return toRegister(e.kind, scalarFunctions[e.opcode](a, b, c));
    }
  }
}

const kinds: readonly RegisterKind[] = ['f32', 'i32', 'u32', 'bool'];
/** Grows a pool of expressions by applying random instructions to random members of it. */
const randomExpressions = fc
  .array(fc.tuple(fc.nat(tileOpcodes.length - 1), fc.nat(), fc.nat(), fc.nat()), {
    minLength: 1,
    maxLength: 40,
  })
  .map((steps) => {
    const pool: Expr[] = [...kinds.map((k, i) => input(i, k)), ...kinds.map((k) => constant(1, k))];
    const choose = (kind: RegisterKind, n: number): Expr => {
      const fitting = pool.filter((e) => e.kind === kind);
      return fitting[n % fitting.length]!;
    };
    for (const [row, ...picks] of steps) {
      const [name, operands] = tileOpcodes[row]!;
      const any = kinds[picks[2]! % 4]!;
      const args = operands
        .split(' ')
        .map((k, i) => choose(k === 'any' ? any : (k as RegisterKind), picks[i]!));
      if (name === 'select') pool.push(select(args[0]!, args[1]!, args[2]!));
      else {
        const result = tileOpcodes[row]![2] as RegisterKind;
        pool.push({ node: 'op', kind: result, opcode: name, operands: args });
      }
    }
    return pool.slice(-3);
  });

it('random programs compute what their expressions mean', () => {
  const value = fc.tuple(fc.float(), fc.integer(), fc.nat(), fc.boolean());
  fc.assert(
    fc.property(randomExpressions, fc.array(value, { minLength: 1, maxLength: 6 }), (results, rows) => {
      const program = buildTileProgram(kinds, results);
      const columns = [
        Float32Array.from(rows, (r) => r[0]),
        Int32Array.from(rows, (r) => r[1]),
        Uint32Array.from(rows, (r) => r[2]),
        Uint8Array.from(rows, (r) => Number(r[3])),
      ];
      const outputs = results.map(({ kind }) => {
        const make = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, bool: Uint8Array }[kind];
        return { data: new make(rows.length), dtype: kind };
      });
      evaluateTileProgram(
        program,
        [rows.length],
        columns.map((data, i) => ({ data, dtype: kinds[i]!, strides: [1] })),
        outputs,
      );
      results.forEach((e, o) => {
        rows.forEach((_, row) => {
          expect(outputs[o]!.data[row]).toBe(
            meaning(
              e,
              columns.map((c) => c[row]!),
            ),
          );
        });
      });
    }),
    { numRuns: 400 },
  );
});
