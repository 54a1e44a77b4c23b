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
  const body = `  var amax = 0.0;
  for (var i = t; i < ${p.K / step(p)}u; i += ${threads}u) { amax = max(amax, largest(value_at(row, i, inverse))); }
  let scale = power_of_two(workgroup_max(amax, t));
  if (t == 0u) { scales[row] = scale; }
  let factor = inverse / scale;
  for (var c = t; c < ${words}u; c += ${threads}u) {
    let a = four_at(row, 2u * c, factor);
    let b = four_at(row, 2u * c + 1u, factor);
    halves[row * ${words}u + c] = vec4<u32>(pack2x16float(a.xz), pack2x16float(a.yw), pack2x16float(b.xz), pack2x16float(b.yw));
  }
`;
  const functions = `${workgroupMax(threads)}fn power_of_two(amax: f32) -> f32 {
  return bitcast<f32>(clamp(bitcast<u32>(amax) & 0x7f800000u, 0x0d800000u, 0x71800000u));
}
${fourFunctions(p)}`;
  const made: readonly GpuBinding[] = [
    { buffer: { scratch: halves }, name: 'halves', type: 'array<vec4<u32>>', access: 'read_write' },
    { buffer: { scratch: scales }, name: 'scales', type: 'array<f32>', access: 'read_write' },
  ];
  return activationPass(p, `${p.name} x as f16`, made, functions, body);
}

/** Rows after the RMS norm, in f32. @param normed Scratch of `rows * K` f32. */
export function normedActivations(p: ActivationPass, normed: number): GpuPass {
  const width = p.K / step(p);
  const body = `  for (var i = t; i < ${width}u; i += ${threads}u) { normed[row * ${width}u + i] = value_at(row, i, inverse); }
`;
  const type = `array<${elementOf(p)}>`;
  const made: GpuBinding = { buffer: { scratch: normed }, name: 'normed', type, access: 'read_write' };
  return activationPass(p, `${p.name} norm`, [made], '', body);
}

/** Columns of an element of the bindings: whole chunks of eight are read as two vectors. */
const step = ({ K }: ActivationPass): 1 | 4 => (K % 8 === 0 ? 4 : 1);
const elementOf = (p: ActivationPass): string => (step(p) === 4 ? 'vec4<f32>' : 'f32');

/** A workgroup per row; `body` sees `row`, `t` and `inverse`, the factor of the RMS norm. */
function activationPass(
  p: ActivationPass,
  name: string,
  made: readonly GpuBinding[],
  functions: string,
  body: string,
): GpuPass {
  const type = `array<${elementOf(p)}>`;
  const code = `${groupIndex}${rowFunctions(p)}${functions}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = group_index(id, groups);
  if (row >= u32(${p.rows})) { return; }
  let inverse = inverse_rms(row, t);
${body}}
`;
  return {
    name,
    bindings: [
      { buffer: p.x, name: 'x', type, access: 'read' },
      ...(p.norm === undefined
        ? []
        : [{ buffer: p.norm.weight, name: 'norm', type, access: 'read' } as const]),
      ...made,
    ],
    code,
    groups: (params) => grid(p.count(params)),
  };
}

/** `value_at(row, i, factor)`: element i of a row times the factor and the norm's weight; and `inverse_rms(row, t)`. */
function rowFunctions(p: ActivationPass): string {
  const { K, norm } = p;
  const width = K / step(p);
  const weight = norm === undefined ? '' : ` * (norm[i] + ${norm.offset})`;
  const value = `fn value_at(row: u32, i: u32, factor: f32) -> ${elementOf(p)} { return x[row * ${width}u + i] * factor${weight}; }
`;
  if (norm === undefined) return `${value}fn inverse_rms(row: u32, t: u32) -> f32 { return 1.0; }\n`;
  return `${value}${workgroupSum(threads)}fn inverse_rms(row: u32, t: u32) -> f32 {
  var squares = 0.0;
  for (var i = t; i < ${width}u; i += ${threads}u) { let v = x[row * ${width}u + i]; squares += ${step(p) === 4 ? 'dot(v, v)' : 'v * v'}; }
  return inverseSqrt(workgroup_sum(squares, t) / ${K}.0 + ${norm.eps});
}
`;
}

/** `largest(element)`, and `four_at(row, i, factor)`: columns 4i … 4i+3, zeros past K. */
function fourFunctions(p: ActivationPass): string {
  if (step(p) === 4) {
    return `fn largest(v: vec4<f32>) -> f32 { let a = max(abs(v.xy), abs(v.zw)); return max(a.x, a.y); }
fn four_at(row: u32, i: u32, factor: f32) -> vec4<f32> {
  if (i >= ${p.K / 4}u) { return vec4<f32>(); }
  return value_at(row, i, factor);
}
`;
  }
  return `fn largest(v: f32) -> f32 { return abs(v); }
fn one_at(row: u32, k: u32, factor: f32) -> f32 {
  if (k >= ${p.K}u) { return 0.0; }
  return value_at(row, k, factor);
}
fn four_at(row: u32, i: u32, factor: f32) -> vec4<f32> {
  let k = 4u * i;
  return vec4<f32>(one_at(row, k, factor), one_at(row, k + 1u, factor), one_at(row, k + 2u, factor), one_at(row, k + 3u, factor));
}
`;
}

/** Rows at most, from the bytes of x. */
export const maxRows = (bytes: number, K: number): number => Math.floor(bytes / (4 * K));
