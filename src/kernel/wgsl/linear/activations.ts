// The rows of x that a workgroup multiplies, staged in workgroup memory: normalised, and as f32 or as int8 with a scale per
// 32 columns. A workgroup repeats this work of its neighbours, which is cheaper than a dispatch of its own.

import { workgroupSum } from '../workgroup.ts';

/** f32: as they are. int8: rounded to 8 bits. int8x2: the rounding error in 8 more bits. */
export type XMode = 'f32' | 'int8' | 'int8x2';

/** Octets that share a scale of x. */
export const blockOctets = 4;

export interface Staging {
  readonly mode: XMode;
  readonly threads: number;
  /** Rows of x. */
  readonly rows: number;
  /** Octets of a row. */
  readonly octets: number;
  /** Octets staged at a time: all, or a multiple of blockOctets. */
  readonly segment: number;
  /** RMS norm over K columns; `weight(octet)` are functions of the module. */
  readonly norm: { readonly K: number; readonly eps: string } | undefined;
}

/** Workgroup bytes that an octet of a row takes. */
export const octetBytes = (mode: XMode): number => ({ f32: 32, int8: 9, int8x2: 17 })[mode];

/** Workgroup bytes beside the octets. */
export const stagingBytes = ({ mode, threads, rows, norm }: Omit<Staging, 'segment' | 'octets'>): number =>
  (mode === 'f32' ? 0 : 4 * threads) + (norm === undefined ? 0 : 4 * threads + 4 * rows);

/**
 * `stage(first_row, first_octet, t)`, which ends with a barrier, and with a norm `measure_rows(first_row, t)`, to be called
 * before. The module has `x_octet(row, octet) -> Eight`, zeros outside of x, and with a norm `norm_octet(octet) -> Eight`.
 */
export function stagingCode(s: Staging): string {
  return `${declarations(s)}${s.norm === undefined ? '' : measureFunction(s, s.norm)}${stageFunction(s)}`;
}

/** A row's eight columns; once per module. */
export const eightStruct = `struct Eight { a: vec4<f32>, b: vec4<f32> }
`;

function declarations({ mode, threads, rows, segment }: Staging): string {
  const size = rows * segment;
  if (mode === 'f32') return `var<workgroup> x_tile: array<Eight, ${size}>;\n`;
  const error = mode === 'int8x2' ? `var<workgroup> x_errors: array<vec2<u32>, ${size}>;\n` : '';
  return `var<workgroup> x_codes: array<vec2<u32>, ${size}>;
${error}var<workgroup> x_scales: array<f32, ${size / blockOctets}>;
var<workgroup> x_peaks: array<u32, ${threads}>;
`;
}

/** 1 / rms of the rows, in `x_norms`. */
function measureFunction({ threads, rows, octets }: Staging, { K, eps }: { K: number; eps: string }): string {
  return `${workgroupSum(threads)}var<workgroup> x_norms: array<f32, ${rows}>;
fn measure_rows(first_row: u32, t: u32) {
  for (var r = 0u; r < ${rows}u; r++) {
    var squares = 0.0;
    for (var o = t; o < ${octets}u; o += ${threads}u) {
      let v = x_octet(first_row + r, o);
      squares += dot(v.a, v.a) + dot(v.b, v.b);
    }
    let sum = workgroup_sum(squares, t);
    if (t == 0u) { x_norms[r] = inverseSqrt(sum / ${K}.0 + ${eps}); }
  }
  workgroupBarrier();
}
`;
}

function stageFunction(s: Staging): string {
  const { mode, threads, rows, octets, segment } = s;
  const size = rows * segment;
  const steps = Math.ceil(size / threads);
  const row = rows === 1 ? '0u' : `min(i / ${segment}u, ${rows - 1}u)`;
  const octet = rows === 1 ? 'i' : `i % ${segment}u`;
  const scaled =
    s.norm === undefined
      ? ''
      : `    let w = norm_octet(o);
    let norm = x_norms[r];
    v.a = v.a * norm * w.a;
    v.b = v.b * norm * w.b;
`;
  // Octets past the row's end are zero; they exist where the last segment is shorter or threads are left over.
  const inside = `i < ${size}u && first_octet + (${octet}) < ${octets}u`;
  return `fn stage(first_row: u32, first_octet: u32, t: u32) {
  for (var step = 0u; step < ${steps}u; step++) {
    let i = step * ${threads}u + t;
    let r = ${row};
    let o = min(first_octet + (${octet}), ${octets - 1}u);
    var v = x_octet(first_row + r, o);
${scaled}    if (!(${inside})) { v = Eight(); }
${mode === 'f32' ? `    if (i < ${size}u) { x_tile[i] = v; }` : quantize(mode, size)}
  }
  workgroupBarrier();
}
`;
}

/** Rounds an octet to int8 by the largest magnitude of its block, found as bits so that NaN and infinity are the largest. */
function quantize(mode: XMode, size: number): string {
  const error =
    mode === 'int8x2'
      ? `
      x_errors[i] = vec2<u32>(pack4xI8(vec4<i32>(round((a - round(a)) * 254.0))), pack4xI8(vec4<i32>(round((b - round(b)) * 254.0))));`
      : '';
  return `    let bits = max(bitcast<vec4<u32>>(abs(v.a)), bitcast<vec4<u32>>(abs(v.b)));
    x_peaks[t] = max(max(bits.x, bits.y), max(bits.z, bits.w));
    workgroupBarrier();
    let block = t & ~3u;
    let peak_bits = max(max(x_peaks[block], x_peaks[block + 1u]), max(x_peaks[block + 2u], x_peaks[block + 3u]));
    let peak = bitcast<f32>(peak_bits);
    let inverse = select(0.0, 127.0 / peak, peak_bits > 0x04000000u);
    if (i < ${size}u) {
      let a = v.a * inverse;
      let b = v.b * inverse;
      x_codes[i] = vec2<u32>(pack4xI8(vec4<i32>(round(a))), pack4xI8(vec4<i32>(round(b))));${error}
      if ((i & 3u) == 0u) { x_scales[i >> 2u] = peak * ${1 / 127}; }
    }
    workgroupBarrier();`;
}
