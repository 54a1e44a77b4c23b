import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exactDotBound, fastDotBound, quantizationBound } from './bounds.ts';
import { newRowForm, type SourceFormat } from './format.ts';
import {
  codesBytes,
  columnMultiple,
  formatLayout,
  isFloatLayout,
  panelBytes,
  quantizedSpec,
} from './layout.ts';
import {
  dequantizeSource,
  gatherRow,
  packReference,
  quantizeReference,
  unpackReference,
} from './reference.ts';
import { findSourceFormat, sourceFormats } from './registry.ts';

interface Golden {
  format: string;
  rows: number;
  K: number;
  parts: string[];
  values: string;
}
const load = (name: string): Golden[] =>
  JSON.parse(
    readFileSync(new URL(`../../tests/goldens/quant/${name}.json`, import.meta.url), 'utf8'),
  ) as Golden[];
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
const floatsOf = (text: string): Float32Array => new Float32Array(bytesOf(text).buffer);
const format = (name: string): SourceFormat => findSourceFormat(name) ?? expect.fail(`no format ${name}`);
const columnsOf = (source: SourceFormat): number =>
  Math.max(source.blockElements, columnMultiple(source.layout));

/** Deterministic values in about [-1, 1], spread over magnitudes. */
function values(count: number, seed: number): Float32Array {
  let state = seed >>> 0 || 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * 2 ** -(state % 5);
  });
}

describe('goldens', () => {
  it('cover every format', () => {
    const made = load('dequantize').map((c) => c.format);
    expect(made).toEqual(sourceFormats.map((f) => f.name).filter((name) => !/^n(f4|vfp4\/)/.test(name)));
  });

  it.each([...load('dequantize'), ...load('extreme')])(
    'dequantise $format',
    ({ format: name, rows, K, parts, values: expected }) => {
      const source = format(name);
      // The floats of MLX have a negative zero, integers have not.
      const plain = (x: Float32Array): Float32Array => (name.startsWith('mlx-') ? x.map((v) => v + 0) : x);
      const found = dequantizeSource(source, parts.map(bytesOf), rows, K);
      expect(plain(found)).toEqual(floatsOf(expected));
      const packed = packReference(source, parts.map(bytesOf), rows, K);
      expect(plain(unpackReference(source.layout, packed, rows, K))).toEqual(floatsOf(expected));
    },
  );

  it.each(load('quantize'))('quantise $format', ({ format: name, rows, K, parts, values: input }) => {
    expect(quantizeReference(format(name), floatsOf(input), rows, K)).toEqual(parts.map(bytesOf));
  });
});

/** Source bytes of any format: quantised values, or those of the golden, repeated, for what is only read. */
function sourceParts(source: SourceFormat, rows: number, K: number): readonly Uint8Array[] {
  if (source.quantizeRow !== undefined) return quantizeReference(source, values(rows * K, 7), rows, K);
  const golden = load('dequantize').find((c) => c.format === source.name) ?? expect.fail(source.name);
  return golden.parts.map(bytesOf).map((part, p) => {
    const length = (source.rowBytes(K)[p] ?? 0) * rows;
    return Uint8Array.from({ length }, (_, i) => part[i % part.length] as number);
  });
}

describe('packing', () => {
  it.each(sourceFormats.map((f) => [f.name, f] as const))('%s survives pack and unpack', (_, source) => {
    const K = columnsOf(source) * 2;
    const parts = sourceParts(source, 37, K);
    const expected = dequantizeSource(source, parts, 37, K);
    const packed = packReference(source, parts, 37, K);
    expect(unpackReference(source.layout, packed, 37, K)).toEqual(expected);
    for (const row of [0, 15, 16, 36]) {
      expect(gatherRow(source.layout, packed, 37, K, row)).toEqual(expected.subarray(row * K, (row + 1) * K));
    }
    const padding = packed.subarray(2 * panelBytes(source.layout, K));
    expect(
      packReference(
        source,
        parts,
        37,
        K,
        Int32Array.from({ length: 37 }, (_, i) => i),
      ),
    ).toEqual(packed);
    expect(padding.length).toBe(panelBytes(source.layout, K));
  });

  // The formulas of docs/layouts.md, read in the other direction: which code does each nibble, byte and pair hold?
  it.each(['q4_0', 'q4_1', 'q4_k', 'q6_k', 'q8_0', 'q5_k', 'q3_k', 'q2_k', 'mxfp4'])(
    '%s codes lie where the layout says',
    (name) => {
      const source = format(name);
      const bits = quantizedSpec(source.layout.kind)?.bits ?? expect.fail(name);
      const K = 256;
      const parts = quantizeReference(source, values(20 * K, 3), 20, K);
      const panel = packReference(source, parts, 20, K).subarray(0, panelBytes(source.layout, K));
      const form = newRowForm(source.layout, K);
      for (const r of [0, 1, 15]) {
        source.readRow(parts, r, K, form);
        for (let b = 0; b < K / 32; b++) {
          for (let j = 0; j < 4; j++) {
            const code = (column: number): number => form.codes[32 * b + column] as number;
            // Planes of a block: their bits, in which order; `columns` of them share a chunk of 64 bytes.
            let at = 64 * bits * b;
            let below = 0;
            for (const plane of { 2: [2], 3: [2, 1], 4: [4], 5: [4, 1], 6: [4, 2], 8: [8] }[bits] ?? []) {
              const columns = 32 / plane;
              for (let c = 0; c < plane; c++) {
                let byte = 0;
                for (let f = 0; f < 8 / plane; f++) {
                  byte |= ((code(columns * c + 4 * f + j) >> below) & (2 ** plane - 1)) << (plane * f);
                }
                expect(panel[at + 64 * c + 4 * r + j]).toBe(byte);
              }
              at += 64 * plane;
              below += plane;
            }
          }
        }
      }
    },
  );

  it('puts the scales of a block side by side', () => {
    const K = 64;
    const source = format('q4_0');
    const parts = quantizeReference(source, values(16 * K, 5), 16, K);
    const packed = packReference(source, parts, 16, K);
    for (const r of [0, 3, 15]) {
      for (const b of [0, 1]) {
        const at = codesBytes(source.layout, K) + 32 * b + 2 * r;
        expect([...packed.subarray(at, at + 2)]).toEqual([
          ...(parts[0]?.subarray((r * 2 + b) * 18, (r * 2 + b) * 18 + 2) ?? []),
        ]);
      }
    }
  });

  it('keeps bf16 columns in pairs', () => {
    const source = format('bf16');
    const rows = Uint8Array.from({ length: 2 * 3 * 2 }, (_, i) => i + 1);
    const packed = packReference(source, [rows], 2, 3);
    expect([...packed.subarray(0, 8)]).toEqual([1, 2, 3, 4, 7, 8, 9, 10]);
    expect([...packed.subarray(64, 72)]).toEqual([5, 6, 0, 0, 11, 12, 0, 0]);
  });

  it('reorders rows', () => {
    const source = format('q8_0');
    const parts = quantizeReference(source, values(32 * 32, 9), 32, 32);
    const expected = dequantizeSource(source, parts, 32, 32);
    const map = Int32Array.from({ length: 8 }, (_, i) => 31 - 3 * i);
    const found = unpackReference(source.layout, packReference(source, parts, 8, 32, map), 8, 32);
    map.forEach((from, i) => {
      expect(found.subarray(i * 32, i * 32 + 32)).toEqual(expected.subarray(from * 32, from * 32 + 32));
    });
  });

  it('says what is wrong', () => {
    const source = format('q4_0');
    const part = new Uint8Array(36);
    expect(() => packReference(source, [part], 3, 32)).toThrow(
      'q4_0: 3 rows of 32 columns need parts of [54] bytes, found [36]',
    );
    expect(() => packReference(source, [part], 2, 33)).toThrow('K = 33 must be a positive multiple of 32');
    expect(() => packReference(source, [part], 2, 32, Int32Array.of(0, 2))).toThrow('entry 1 is row 2 of 2');
    expect(() => packReference(source, [part], 2, 32, Int32Array.of(0))).toThrow('1 entries for 2 rows');
    expect(() => unpackReference(source.layout, part, 2, 32)).toThrow('needs 320 bytes, found 36');
    expect(() => gatherRow(source.layout, new Uint8Array(320), 2, 32, 2)).toThrow('row 2 is outside');
    expect(() => dequantizeSource(format('mlx4/32/f16'), [part], 2, 32)).toThrow(
      '[32,4,4] bytes, found [36]',
    );
  });
});

describe('error bounds', () => {
  const writable = sourceFormats.filter((f) => f.quantizeRow !== undefined && !f.name.startsWith('tq'));
  it.each(writable.map((f) => [f.name, f] as const))('%s stays within its bound', (_, source) => {
    const K = columnsOf(source);
    const step = isFloatLayout(source.layout) ? K : source.layout.group;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 31 }),
        fc.integer({ min: -20, max: 6 }),
        fc.double({ min: -2, max: 2, noNaN: true }),
        (seed, exponent, shift) => {
          const input = values(K, seed).map((v) => (v + shift) * 2 ** exponent);
          const output = dequantizeSource(source, quantizeReference(source, input, 1, K), 1, K);
          const peak = Math.max(...input.map(Math.abs));
          for (let from = 0; from < K; from += step) {
            const part = input.subarray(from, from + step);
            const bound = quantizationBound(source, Math.min(...part), Math.max(...part), peak);
            part.forEach((value, i) => {
              const error = Math.abs(value - (output[from + i] as number));
              if (!(error <= bound)) expect.fail(`${formatLayout(source.layout)}: ${error} > ${bound}`);
            });
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it('bounds dot products', () => {
    const x = values(256, 11);
    const w = values(256, 12);
    let exact = 0;
    let single = 0;
    let fast = 0;
    let magnitudes = 0;
    for (let from = 0; from < 256; from += 32) {
      const step = Math.max(...x.subarray(from, from + 32).map(Math.abs)) / 127;
      for (let k = from; k < from + 32; k++) {
        const [a, b] = [x[k] as number, w[k] as number];
        exact += a * b;
        single = Math.fround(single + Math.fround(a * b));
        fast += Math.round(a / step) * step * b;
        magnitudes += Math.abs(a * b);
      }
    }
    expect(Math.abs(single - exact)).toBeLessThanOrEqual(exactDotBound(256, magnitudes));
    expect(Math.abs(fast - exact)).toBeLessThanOrEqual(fastDotBound(x, w));
    expect(fastDotBound(x, w)).toBeLessThan(magnitudes / 20);
  });
});
