// Activations as tiles want them, made by a pass before: normalised, and as f16 for subgroup matrices.

import { groupIndex } from '../common.ts';
import { type GpuBinding, type GpuPass, grid } from '../contract.ts';
import { workgroupMax, workgroupSum } from '../workgroup.ts';

const threads = 256;

export interface ActivationPass {
  readonly name: string;
  /** Buffer with the rows `[rows, K]`, and of the norm weight. */
  readonly x: number;
  readonly K: number;
  /** Rows of a run, as an i32 expression, and from its params. */
  readonly rows: string;
  readonly count: (params: readonly number[]) => number;
  readonly norm: { readonly weight: number; readonly eps: string; readonly offset: string } | undefined;
}

/** Words of 16 bytes of a row of halves: whole steps of 32 columns, zeros past K. */
export const halfRowWords = (K: number): number => Math.ceil(K / 32) * 4;

/**
 * Rows as f16 with a scale each: x = scale · half, scale a power of two, so that no row overflows. Eight columns lie in the
 * order 0 2 1 3 4 6 5 7, as tiles unpack weights.
 * @param halves Scratch of `rows * halfRowWords(K)` words of 16 bytes. @param scales Scratch of `rows` f32.
 */
export function halfActivations(p: ActivationPass, halves: number, scales: number): GpuPass {
  const words = halfRowWords(p.K);
  const code = `${groupIndex}${workgroupMax(threads)}${rowFunctions(p)}
fn power_of_two(amax: f32) -> f32 {
  return bitcast<f32>(clamp(bitcast<u32>(amax) & 0x7f800000u, 0x0d800000u, 0x71800000u));
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, groups);
  if (row >= u32(${p.rows})) { return; }
  let inverse = inverse_rms(row, t);
  var amax = 0.0;
  for (var k = t; k < ${p.K}u; k += ${threads}u) { amax = max(amax, abs(value_at(row, k, inverse))); }
  let scale = power_of_two(workgroup_max(amax, t));
  if (t == 0u) { scales[row] = scale; }
  let factor = 1.0 / scale;
  for (var c = t; c < ${words}u; c += ${threads}u) {
    var v: array<f32, 8>;
    for (var i = 0u; i < 8u; i++) { v[i] = value_at(row, c * 8u + i, inverse) * factor; }
    halves[row * ${words}u + c] = vec4<u32>(
      pack2x16float(vec2<f32>(v[0], v[2])), pack2x16float(vec2<f32>(v[1], v[3])),
      pack2x16float(vec2<f32>(v[4], v[6])), pack2x16float(vec2<f32>(v[5], v[7])));
  }
}
`;
  const made: readonly GpuBinding[] = [
    { buffer: { scratch: halves }, name: 'halves', type: 'array<vec4<u32>>', access: 'read_write' },
    { buffer: { scratch: scales }, name: 'scales', type: 'array<f32>', access: 'read_write' },
  ];
  return activationPass(p, `${p.name} x as f16`, made, code);
}

/** Rows after the RMS norm, in f32. @param normed Scratch of `rows * K` f32. */
export function normedActivations(p: ActivationPass, normed: number): GpuPass {
  const code = `${groupIndex}${rowFunctions(p)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, groups);
  if (row >= u32(${p.rows})) { return; }
  let inverse = inverse_rms(row, t);
  for (var k = t; k < ${p.K}u; k += ${threads}u) { normed[row * ${p.K}u + k] = value_at(row, k, inverse); }
}
`;
  return activationPass(
    p,
    `${p.name} norm`,
    [{ buffer: { scratch: normed }, name: 'normed', type: 'array<f32>', access: 'read_write' }],
    code,
  );
}

function activationPass(p: ActivationPass, name: string, made: readonly GpuBinding[], code: string): GpuPass {
  return {
    name,
    bindings: [
      { buffer: p.x, name: 'x', type: 'array<f32>', access: 'read' },
      ...(p.norm === undefined
        ? []
        : [{ buffer: p.norm.weight, name: 'norm', type: 'array<f32>', access: 'read' } as const]),
      ...made,
    ],
    code,
    groups: (params) => grid(p.count(params)),
  };
}

/** `value_at(row, k, inverse)`, zero past K, and `inverse_rms(row, t)`. */
function rowFunctions({ K, norm }: ActivationPass): string {
  const value = norm === undefined ? 'x[at]' : `x[at] * inverse * (norm[min(k, ${K - 1}u)] + ${norm.offset})`;
  const inverse =
    norm === undefined
      ? 'fn inverse_rms(row: u32, t: u32) -> f32 { return 1.0; }'
      : `${workgroupSum(threads)}fn inverse_rms(row: u32, t: u32) -> f32 {
  var squares = 0.0;
  for (var k = t; k < ${K}u; k += ${threads}u) { let v = x[row * ${K}u + k]; squares += v * v; }
  return inverseSqrt(workgroup_sum(squares, t) / ${K}.0 + ${norm.eps});
}`;
  return `fn value_at(row: u32, k: u32, inverse: f32) -> f32 {
  let at = row * ${K}u + min(k, ${K - 1}u);
  return select(0.0, ${value}, k < ${K}u);
}
${inverse}
`;
}

/** Rows at most, from the bytes of x. */
export const maxRows = (bytes: number, K: number): number => Math.floor(bytes / (4 * K));
