// What the passes of sampling share: sizes, memory between them, and the arithmetic of token weights.

import type { BufferPlaces } from '../../signature.ts';
import { groupIndex } from '../common.ts';
import type { GpuBinding, KernelRequest } from '../contract.ts';
import { integers64, multiplyHigh } from '../integers.ts';
import { keyValue, orderedKey } from '../ordered.ts';
import { rowSettings, type Settings } from './settings.ts';

/** Threads of every pass; a search looks at so many sums at once. */
export const threads = 256;
/** Logits of a workgroup of the passes that many share. */
export const slice = 2048;
/** Ranges of logits, the best first. */
export const buckets = 1024;

export interface SampleShape {
  readonly settings: Settings;
  /** Rows as a u32 expression, and at most. */
  readonly rows: string;
  readonly rowsOf: (params: readonly number[]) => number;
  readonly buffers: BufferPlaces<'sample'>;
  readonly maxRows: number;
  readonly V: number;
  readonly n: number;
  readonly slices: number;
}

export function sampleShape(request: KernelRequest<'sample'>): SampleShape {
  const V = request.constant(request.p.V);
  return {
    settings: rowSettings(request.b.settings, [
      'temperature',
      'top_k',
      'top_p',
      'min_p',
      'seed',
      'step',
      'top',
    ]),
    rows: `u32(${request.int(request.p.B)})`,
    rowsOf: request.inRun(request.p.B),
    buffers: request.b,
    maxRows: Math.max(1, Math.floor(request.bytesOf(request.b.logits) / (4 * V))),
    V,
    n: request.constant(request.p.n),
    slices: Math.ceil(V / slice),
  };
}

export const logitsOf = ({ buffers }: SampleShape): GpuBinding => ({
  buffer: buffers.logits,
  name: 'logits',
  type: 'array<f32>',
  access: 'read',
});

/** What the slices found: largest key, its token, smallest finite logit, sum of exponentials. */
export const slicesBinding = (access: GpuBinding['access']): GpuBinding => ({
  buffer: { scratch: 0 },
  name: 'slice_results',
  type: 'array<vec4<u32>>',
  access,
});

/**
 * Per row: for each bucket tokens, low words, high words of their weights, tokens that have their place; then those that min-p
 * keeps. Behind all rows, per row: tokens bucket by bucket. */
export const bucketsBinding = (type: 'u32' | 'atomic<u32>', access: GpuBinding['access']): GpuBinding => ({
  buffer: { scratch: 1 },
  name: 'bucket_sums',
  type: `array<${type}>`,
  access,
});

export const scratchOf = ({ maxRows, slices, V }: SampleShape): readonly number[] => [
  maxRows * slices * 16,
  maxRows * ((buckets + 1) * 16 + V * 4),
];

/** Names, integers, and the settings. */
export const prelude = (shape: SampleShape): string => `const V = ${shape.V}u;
const slices = ${shape.slices}u;
const slice_width = ${slice}u;
const buckets = ${buckets}u;
const threads = ${threads}u;
const min_p_sums = 4u * buckets;
const row_sums = 4u * buckets + 4u;
/** Where the tokens bucket by bucket start. */
const order = ${shape.maxRows}u * row_sums;
const infinity_key = 0xff800000u;
const minus_infinity_key = 0x007fffffu;
${groupIndex}${multiplyHigh}${integers64}${orderedKey}${keyValue}${shape.settings.code}`;

/** `best_of(key, token, thread)`: the largest key of all threads, of equal ones that with the lowest token. */
export const bestOf = `var<workgroup> best_keys: array<u32, threads>;
var<workgroup> best_tokens: array<u32, threads>;
fn best_of(key: u32, token: u32, t: u32) -> vec2<u32> {
  best_keys[t] = key;
  best_tokens[t] = token;
  for (var half = threads / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (t < half) {
      let other = best_keys[t + half];
      if (other > best_keys[t] || (other == best_keys[t] && best_tokens[t + half] < best_tokens[t])) {
        best_keys[t] = other;
        best_tokens[t] = best_tokens[t + half];
      }
    }
  }
  let result = vec2(workgroupUniformLoad(&best_keys[0]), workgroupUniformLoad(&best_tokens[0]));
  workgroupBarrier();
  return result;
}
`;

/** `row_extremes(row, thread)`: a row's best token and smallest finite logit, from its slices. Needs `bestOf` and workgroupMax. */
export const rowExtremes = `struct Extremes { key: u32, token: u32, largest: f32, smallest: f32 }
fn row_extremes(row: u32, t: u32) -> Extremes {
  var key = 0u;
  var token = 0xffffffffu;
  var depth = -3.4028234e38f;
  for (var s = t; s < slices; s += threads) {
    let found = slice_results[row * slices + s];
    if (found.x > key || (found.x == key && found.y < token)) { key = found.x; token = found.y; }
    depth = max(depth, -bitcast<f32>(found.z));
  }
  let best = best_of(key, token, t);
  return Extremes(best.x, best.y, key_value(best.x), -workgroup_max(depth, t));
}
/** Whether the row has a token that can be drawn. */
fn can_draw(e: Extremes) -> bool { return e.key < infinity_key && e.key > minus_infinity_key; }
`;

/**
 * Token weights e^((x - max) / T) as integers in units of 2^-40 of the best token's, and the bucket of a logit. Sums of integers
 * do not depend on their order. The exponential is that of Cephes (expf.c, Moshier): within 2 units of the last place anywhere.
 */
export const weights = `struct Scale { largest: f32, inverse_temperature: f32, per_bucket: f32 }
fn scale_of(e: Extremes, temperature: f32) -> Scale {
  let t = max(select(temperature, 1.0, temperature <= 0.0), 1e-6f);
  let range = min(e.largest - e.smallest, 28.0 * t);
  return Scale(e.largest, 1.0 / t, select(1e30f, min(f32(buckets - 1u) / range, 1e30f), range > 0.0));
}
fn bucket_of(x: f32, s: Scale) -> u32 { return u32(clamp((s.largest - x) * s.per_bucket, 0.0, f32(buckets - 1u))); }
fn weight_of(x: f32, s: Scale) -> vec2<u32> {
  let a = (x - s.largest) * s.inverse_temperature;
  if (!(a > -28.0)) { return vec2(0u); }
  let n = round(a * 1.44269504f);
  let r = (a - n * 0.693359375f) + n * 2.12194440e-4f;
  let p = ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r + 1.6666665459e-1f) * r + 5.0000001201e-1f;
  return fixed40(min((p * r * r + r + 1.0) * bitcast<f32>(u32(i32(n) + 127) << 23u), 1.0));
}
/** A number from 0 to 1 in units of 2^-40. */
fn fixed40(x: f32) -> vec2<u32> {
  let high = floor(x * 256.0);
  return vec2(u32((x * 256.0 - high) * 4294967296.0), u32(high));
}
`;
