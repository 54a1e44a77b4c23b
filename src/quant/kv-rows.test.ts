import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type KvRowFormat, kvRowBound, kvRowFormats, kvRowSizes, readKvRow, writeKvRow } from './kv-rows.ts';

function through(format: KvRowFormat, values: Float32Array): Float32Array {
  const { bytes } = kvRowSizes(format, values.length);
  const out = new Uint8Array(bytes + 10).fill(0xaa);
  writeKvRow(format, values, out, 5);
  // Nothing beside the row is touched.
  expect([...out.subarray(0, 5), ...out.subarray(bytes + 5)]).toEqual(Array(10).fill(0xaa));
  return readKvRow(format, out, values.length, 5);
}

describe.each(kvRowFormats)('KV rows of $bits bits in groups of $group', (format) => {
  const { bits, group } = format;

  it('have the sizes that kernels are told', () => {
    expect(kvRowSizes(format, 128)).toEqual({
      codes: 16 * bits,
      groups: 128 / group,
      meta: bits === 8 ? 2 : 4,
      bytes: 16 * bits + (128 / group) * (bits === 8 ? 2 : 4),
    });
    expect(() => kvRowSizes(format, 80)).toThrow(
      `a head of 80 columns is not a whole number of groups of ${group}`,
    );
    expect(() => kvRowSizes(format, 0)).toThrow('a head of 0 columns');
  });

  it('are within the bound of their formula, whatever the values', () => {
    const value = fc.oneof(
      fc.float({ noNaN: true, min: -65504, max: 65504 }),
      fc.float({ noNaN: true, min: -8, max: 8 }),
      fc.constantFrom(0, -0, 2 ** -24, -(2 ** -20), 65504),
    );
    const row = fc.array(value, { minLength: 128, maxLength: 128 }).map((list) => Float32Array.from(list));
    fc.assert(
      fc.property(row, (values) => {
        const got = through(format, values);
        for (let from = 0; from < 128; from += group) {
          const part = values.subarray(from, from + group);
          const bound = kvRowBound(format, Math.min(...part), Math.max(...part));
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
      bits === 8 ? (i === 0 || i === 32 ? 127 : i - 60) / 4 : (i % 16) / 4 - 1,
    );
    expect(through(format, grid)).toEqual(grid);
    expect(through(format, new Float32Array(64))).toEqual(new Float32Array(64));
    if (bits === 4)
      expect(through(format, new Float32Array(64).fill(-3.5))).toEqual(new Float32Array(64).fill(-3.5));
  });

  it('have a scale for each group', () => {
    const values = Float32Array.from({ length: 128 }, (_, i) => (i < group ? 1000 : 0.01) * Math.sin(i));
    const got = through(format, values);
    const rest = values.subarray(group).map((x, i) => Math.abs(x - (got[group + i] as number)));
    expect(Math.max(...rest)).toBeLessThan(0.001);
  });
});

it('products of a query with keys split into codes and minimums', () => {
  const format = { bits: 4, group: 32 } as const;
  const key = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i) + 0.5);
  const query = Float32Array.from({ length: 64 }, (_, i) => Math.sin(3 * i));
  const row = new Uint8Array(kvRowSizes(format, 64).bytes);
  writeKvRow(format, key, row);
  const read = readKvRow(format, row, 64);
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
