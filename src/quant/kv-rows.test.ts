import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type KvCodes,
  kvCodes,
  kvRotation,
  kvRowBound,
  kvRowSizes,
  readKvRow,
  writeKvRow,
} from './kv-rows.ts';

function through(codes: KvCodes, values: Float32Array): Float32Array {
  const { bytes } = kvRowSizes(codes, values.length);
  const out = new Uint8Array(bytes + 10).fill(0xaa);
  writeKvRow(codes, values, out, 5);
  // Nothing beside the row is touched.
  expect([...out.subarray(0, 5), ...out.subarray(bytes + 5)]).toEqual(Array(10).fill(0xaa));
  return readKvRow(codes, out, values.length, 5);
}

describe.each(['q8', 'q4'] as const)('KV rows as %s', (codes) => {
  it('are within the bound of their formula, whatever the values', () => {
    const value = fc.oneof(
      fc.float({ noNaN: true, min: -65504, max: 65504 }),
      fc.float({ noNaN: true, min: -8, max: 8 }),
      fc.constantFrom(0, -0, 2 ** -24, -(2 ** -20), 65504),
    );
    const row = fc.array(value, { minLength: 96, maxLength: 96 }).map((list) => Float32Array.from(list));
    fc.assert(
      fc.property(row, (values) => {
        const got = through(codes, values);
        for (let from = 0; from < 96; from += 32) {
          const part = values.subarray(from, from + 32);
          const bound = kvRowBound(codes, Math.min(...part), Math.max(...part));
          part.forEach((x, i) => {
            expect(Math.abs(x - (got[from + i] as number))).toBeLessThanOrEqual(bound);
          });
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keep what is on the grid, groups of one value and zeros', () => {
    const grid = Float32Array.from({ length: 64 }, (_, i) =>
      codes === 'q8' ? (i === 0 || i === 32 ? 127 : i - 60) / 4 : (i % 16) / 4 - 1,
    );
    expect(through(codes, grid)).toEqual(grid);
    expect(through(codes, new Float32Array(64))).toEqual(new Float32Array(64));
    if (codes === 'q4')
      expect(through(codes, new Float32Array(64).fill(-3.5))).toEqual(new Float32Array(64).fill(-3.5));
  });

  it('have a scale for each group', () => {
    const values = Float32Array.from({ length: 128 }, (_, i) => (i < 32 ? 1000 : 0.01) * Math.sin(i));
    const got = through(codes, values);
    const rest = values.subarray(32).map((x, i) => Math.abs(x - (got[32 + i] as number)));
    expect(Math.max(...rest)).toBeLessThan(0.001);
  });
});

it('have the sizes that kernels are told', () => {
  const sizes = (headDim: number) => kvCodes.map((codes) => kvRowSizes(codes, headDim).bytes);
  expect(sizes(128)).toEqual([136, 80, 68, 52, 36]);
  expect(sizes(64)).toEqual([68, 40, 36, 28, 20]);
  expect(sizes(80)).toEqual([92, 60, 52, 44, 32]); // groups of 16
  expect(() => kvRowSizes('q4', 72)).toThrow('a head of 72 columns is not a whole number of groups of 16');
  expect(() => kvRowSizes('q8', 0)).toThrow('a head of 0 columns');
});

/** Independent normal numbers of variance 1, by the method of Box and Muller. */
function normals(count: number): Float32Array {
  let state = 7;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

// Squared errors of the best scalar codes of a normal distribution: J. Max, Quantizing for minimum distortion (1960), table I.
describe.each([
  ['turbo2', 0.1175],
  ['turbo3', 0.03454],
  ['turbo4', 0.009497],
] as const)('KV rows as %s', (codes, distortion) => {
  it('lose what the best code of a normal distribution loses', () => {
    const values = normals(64 * 400);
    let lost = 0;
    for (let at = 0; at < values.length; at += 64) {
      const row = values.subarray(at, at + 64);
      through(codes, row).forEach((x, i) => {
        lost += (x - (row[i] as number)) ** 2;
      });
    }
    expect(lost / values.length / distortion).toBeGreaterThan(0.9);
    expect(lost / values.length / distortion).toBeLessThan(1.1);
  });

  it('keep the length of a row, and zeros', () => {
    const row = normals(48).map((x) => 30 * x);
    const length = (x: Float32Array): number => Math.hypot(...x);
    expect(length(through(codes, row)) / length(row)).toBeCloseTo(1, 2);
    expect(through(codes, new Float32Array(64)).map(Math.abs)).toEqual(new Float32Array(64));
  });
});

it.each([16, 48, 64, 80, 128])('the rotation of %i columns is orthonormal and spreads one column', (n) => {
  const r = kvRotation(n);
  const row = (i: number): Float32Array => r.subarray(i * n, (i + 1) * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const dot = row(i).reduce((sum, x, d) => sum + x * (row(j)[d] as number), 0);
      expect(Math.abs(dot - (i === j ? 1 : 0))).toBeLessThan(1e-6);
    }
    const { group } = kvRowSizes('turbo4', n);
    expect(Math.max(...row(i).map(Math.abs))).toBeCloseTo(group ** -0.5, 6);
  }
});

it('products of a query with keys split into codes and minimums', () => {
  const key = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i) + 0.5);
  const query = Float32Array.from({ length: 64 }, (_, i) => Math.sin(3 * i));
  const row = new Uint8Array(kvRowSizes('q4', 64).bytes);
  writeKvRow('q4', key, row);
  const read = readKvRow('q4', row, 64);
  const half = new DataView(row.buffer);
  let split = 0;
  for (let g = 0; g < 2; g++) {
    let [codes, sum] = [0, 0];
    for (let i = 32 * g; i < 32 * g + 32; i++) {
      const byte = row[i >> 1] as number;
      codes += (query[i] as number) * ((byte >> (4 * (i & 1))) & 15);
      sum += query[i] as number;
    }
    const f16 = (at: number): number => {
      const bits = half.getUint16(at, true);
      return (bits >> 15 ? -1 : 1) * (1 + (bits & 1023) / 1024) * 2 ** (((bits >> 10) & 31) - 15);
    };
    split += f16(32 + 4 * g) * codes + f16(34 + 4 * g) * sum;
  }
  const whole = query.reduce((total, q, i) => total + q * (read[i] as number), 0);
  expect(Math.abs(split - whole)).toBeLessThan(1e-5);
});
