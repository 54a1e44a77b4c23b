// Quantising one group of columns for layouts whose groups have scales of their own. native/kernels/quantize.cc is the same for the
// affine ones, bit for bit.

import { clamp, range } from './format.ts';
import { bitsToFloat, f32ToE4m3, floatToBits, roundEven } from './half.ts';
import { type QuantizedSpec, quantizedSpec, type WeightLayout } from './layout.ts';
import { type Grid, tableGrid } from './search.ts';

export interface QuantizedGroup {
  readonly codes: Uint8Array;
  /** Bits of the scale, and of the minimum where there is one. */
  readonly meta: readonly number[];
}

/** The codes and scale of the group of `values` from `from` on. */
export function quantizeGroup(layout: WeightLayout, values: Float32Array, from: number): QuantizedGroup {
  const spec = quantizedSpec(layout.kind);
  const group = values.subarray(from, from + layout.group);
  if (spec?.minimum === true) return affineGroup(layout, spec, group);
  const { numbers, nearest } = gridOf(layout.kind, spec);
  const end = numbers.reduce((most, n) => (Math.abs(n) > Math.abs(most) ? n : most), 0);
  const { peak } = range(values, from, layout.group);
  const tried = scalesNear(layout, peak / end).map((bits) => {
    const scale = bitsToFloat(layout.metaDtype, bits);
    const inverse = scale === 0 ? 0 : 1 / scale;
    const codes = Uint8Array.from(group, (value) => nearest(value * inverse));
    let error = 0;
    for (let i = 0; i < group.length; i++) {
      const off = (group[i] as number) - scale * (numbers[codes[i] as number] as number);
      error += off * off;
    }
    return { codes, meta: [bits], error };
  });
  return tried.reduce((a, b) => (b.error < a.error ? b : a));
}

interface AffineTry extends QuantizedGroup {
  readonly error: number;
}

/**
 * The best of three: MLX's own choice, where the end with the larger magnitude and zero are whole steps of the grid, so that zero stays
 * zero; a grid from end to end; and the least squares for the codes of the better one.
 */
function affineGroup(layout: WeightLayout, { bits }: QuantizedSpec, group: Float32Array): QuantizedGroup {
  const highest = 2 ** bits - 1;
  const attempt = (scale: number, bias: number): AffineTry => affineTry(layout, highest, group, scale, bias);
  const { min, max } = range(group, 0, group.length);
  const [edge, sign] = Math.abs(min) > Math.abs(max) ? [min, 1] : [max, -1];
  const step = sign * Math.max((max - min) / highest, 1e-7);
  const steps = roundEven(edge / step);
  const aligned = steps === 0 ? attempt(step, 0) : attempt(edge / steps, edge);
  const whole = attempt((max - min) / highest, min);
  const better = whole.error < aligned.error ? whole : aligned;
  const fitted = leastSquares(group, better.codes);
  const last = fitted === undefined ? better : attempt(fitted.scale, fitted.bias);
  return last.error < better.error ? last : better;
}

/** What larger scales become. */
const largest = { f32: 3.4028234663852886e38, f16: 65504, bf16: 3.3895313892515355e38 } as const;

function affineTry(
  { metaDtype }: WeightLayout,
  highest: number,
  group: Float32Array,
  scale: number,
  bias: number,
): AffineTry {
  const dtype = metaDtype as keyof typeof largest;
  const meta = [scale, bias].map((value) =>
    floatToBits(dtype, clamp(value, -largest[dtype], largest[dtype])),
  );
  const [s, b] = meta.map((bits) => bitsToFloat(dtype, bits)) as [number, number];
  const inverse = s === 0 ? 0 : 1 / s;
  const codes = new Uint8Array(group.length);
  let error = 0;
  for (let i = 0; i < group.length; i++) {
    const value = group[i] as number;
    const code = clamp(roundEven((value - b) * inverse), 0, highest);
    const off = value - (s * code + b);
    codes[i] = code;
    error += off * off;
  }
  return { codes, meta, error };
}

/** Scale and bias with the least squared error for these codes; undefined when they are all the same. */
function leastSquares(
  group: Float32Array,
  codes: Uint8Array,
): { readonly scale: number; readonly bias: number } | undefined {
  const n = group.length;
  let [q, qq, x, xq] = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [value, code] = [group[i] as number, codes[i] as number];
    q += code;
    qq += code * code;
    x += value;
    xq += value * code;
  }
  const determinant = n * qq - q * q;
  if (determinant === 0) return undefined;
  return { scale: (n * xq - x * q) / determinant, bias: (qq * x - q * xq) / determinant };
}

const grids = new Map<string, Grid>();

function gridOf(kind: string, spec: QuantizedSpec | undefined): Grid {
  const known = grids.get(kind);
  if (known !== undefined) return known;
  const unit = spec?.unit ?? 1;
  const made = spec?.table === undefined ? e4m3Grid(unit) : tableGrid(spec.table.map((n) => unit * n));
  grids.set(kind, made);
  return made;
}

const e4m3Grid = (unit: number): Grid => ({
  numbers: Array.from({ length: 256 }, (_, code) =>
    (code & 0x7f) === 0x7f ? 0 : unit * bitsToFloat('e4m3', code),
  ),
  nearest: (value) => f32ToE4m3(value / unit),
});

/** Stored scales to try for a value: those next to it that the type has. */
function scalesNear({ metaDtype }: WeightLayout, scale: number): readonly number[] {
  if (metaDtype === 'e8m0') {
    if (scale === 0) return [0];
    const exponent = Math.floor(Math.log2(Math.abs(scale))) + 128;
    return [exponent, exponent + 1].map((e) => clamp(e, 0, 254));
  }
  if (metaDtype === 'e4m3') {
    const near = f32ToE4m3(Math.abs(scale));
    return [near, near - 1, near + 1].filter((bits) => bits >= 0 && bits < 0x7f);
  }
  return [floatToBits(metaDtype, Math.abs(scale))];
}
