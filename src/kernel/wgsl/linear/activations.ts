// The rows of x that a workgroup multiplies, staged in workgroup memory: normalised, and as f32 or as int8 with a scale per
// 32 columns. A workgroup repeats this work of its neighbours, which is cheaper than a dispatch of its own.

import { workgroupSum } from '../workgroup.ts';

/** f32: as they are. int8: rounded to 8 bits. int8x2: the rounding error in 8 more bits. */
export type XMode = 'f32' | 'int8' | 'int8x2';

/** Octets that share a scale of x. */
export const blockOctets = 4;

/** Octets of a single row that a thread may keep in registers between its norm and its rounding. */
const mostKept = 4;

export interface Staging {
  readonly mode: XMode;
  readonly threads: number;
  /** Rows of x. */
  readonly rows: number;
  /** Octets of a row. */
  readonly octets: number;
  /** Octets staged at a time: all, or a multiple of blockOctets. */
  readonly segment: number;
  /** RMS norm over K columns. */
  readonly norm: { readonly K: number; readonly eps: string } | undefined;
  /** Subgroup sizes there can be, none above `threads`; undefined to do without. */
  readonly subgroups: { readonly min: number; readonly max: number } | undefined;
  /**
   * `x_octet` reads mail: loads are repeated until all of it has come. Before that one thread repeats `x_wait()`, one load, as many readers hold up
   * the writers. A single row that is kept in registers only.
   */
  readonly mail?: boolean | undefined;
}

/** Workgroup bytes that an octet of a row takes. */
export const octetBytes = (mode: XMode): number => ({ f32: 32, int8: 9, int8x2: 17 })[mode];

/** Workgroup bytes beside the octets, at most: partial sums of norms, norms, and peaks. */
export function stagingBytes({
  threads,
  rows,
  subgroups,
}: Pick<Staging, 'threads' | 'rows' | 'subgroups'>): number {
  const cells = subgroups === undefined ? 2 * threads : (threads / subgroups.min) * rows;
  return 4 * (cells + rows);
}

/** A row's eight columns; once per module. */
export const eightStruct = `struct Eight { a: vec4<f32>, b: vec4<f32> }
fn squares_of(v: Eight) -> f32 { return dot(v.a, v.a) + dot(v.b, v.b); }
fn scaled(v: Eight, norm: f32, w: Eight) -> Eight { return Eight(v.a * norm * w.a, v.b * norm * w.b); }
`;

/**
 * `stage(first_row, first_octet, t, size)`, which ends with a barrier; where `measures` says so, `measure_rows(first_row, t,
 * size)` has to come before. The module has `x_octet(row, octet) -> Eight`, zeros past the last row, and with a norm
 * `norm_octet(octet) -> Eight`.
 */
export function stagingCode(s: Staging): string {
  const store = storeFunction(s);
  if (keeps(s)) return `${declarations(s)}${s.norm === undefined ? '' : rowSum(s)}${store}${keptStage(s)}`;
  return `${declarations(s)}${measureFunction(s)}${store}${steppedStage(s)}`;
}

export const measures = (s: Staging): boolean => s.norm !== undefined && !keeps(s);

export const keeps = ({
  rows,
  octets,
  segment,
  threads,
}: Pick<Staging, 'rows' | 'octets' | 'segment' | 'threads'>): boolean =>
  rows === 1 && segment >= octets && octets <= mostKept * threads;

function declarations({ mode, threads, rows, segment, subgroups }: Staging): string {
  const size = rows * segment;
  if (mode === 'f32') return `var<workgroup> x_tile: array<Eight, ${size}>;\n`;
  const error = mode === 'int8x2' ? `var<workgroup> x_errors: array<vec2<u32>, ${size}>;\n` : '';
  const peaks = subgroups === undefined ? `var<workgroup> x_peaks: array<u32, ${threads}>;\n` : '';
  return `var<workgroup> x_codes: array<vec2<u32>, ${size}>;
${error}var<workgroup> x_scales: array<f32, ${size / blockOctets}>;
${peaks}`;
}

/** `row_sum(value, t, size)`: over the workgroup, once. */
export function rowSum({ threads, subgroups }: Pick<Staging, 'threads' | 'subgroups'>): string {
  if (subgroups === undefined) {
    return `${workgroupSum(threads)}fn row_sum(value: f32, t: u32, size: u32) -> f32 { return workgroup_sum(value, t); }
`;
  }
  return `var<workgroup> row_cells: array<f32, ${threads / subgroups.min}>;
fn row_sum(value: f32, t: u32, size: u32) -> f32 {
  let own = subgroupAdd(value);
  if (t % size == 0u) { row_cells[t / size] = own; }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < ${threads}u / size; i++) { sum += row_cells[i]; }
  return sum;
}
`;
}

/** 1 / rms of the rows, in `x_norms`. */
function measureFunction(s: Staging): string {
  const { rows, norm } = s;
  if (norm === undefined) return '';
  const body = s.subgroups === undefined ? measureByTree(s) : measureBySubgroups(s, s.subgroups.min);
  return `${s.subgroups === undefined ? workgroupSum(s.threads) : ''}var<workgroup> x_norms: array<f32, ${rows}>;
fn norm_of(squares: f32) -> f32 { return inverseSqrt(squares / ${norm.K}.0 + ${norm.eps}); }
${body}`;
}

/** One row after the other. */
const measureByTree = ({ threads, rows, octets }: Staging): string =>
  `fn measure_rows(first_row: u32, t: u32, size: u32) {
  for (var r = 0u; r < ${rows}u; r++) {
    var squares = 0.0;
    for (var o = t; o < ${octets}u; o += ${threads}u) { squares += squares_of(x_octet(first_row + r, o)); }
    let sum = workgroup_sum(squares, t);
    if (t == 0u) { x_norms[r] = norm_of(sum); }
  }
  workgroupBarrier();
}
`;

/** All rows at once, so that their loads overlap. */
function measureBySubgroups({ threads, rows, octets }: Staging, least: number): string {
  const each = (text: (r: number) => string): string =>
    Array.from({ length: rows }, (_, r) => text(r)).join('');
  return `var<workgroup> row_cells: array<f32, ${(threads / least) * rows}>;
fn measure_rows(first_row: u32, t: u32, size: u32) {
${each((r) => `  var squares_${r} = 0.0;\n`)}  for (var o = t; o < ${octets}u; o += ${threads}u) {
${each((r) => `    squares_${r} += squares_of(x_octet(first_row + ${r}u, o));\n`)}  }
${each((r) => `  let sum_${r} = subgroupAdd(squares_${r});\n`)}  if (t % size == 0u) {
${each((r) => `    row_cells[t / size * ${rows}u + ${r}u] = sum_${r};\n`)}  }
  workgroupBarrier();
  if (t < ${rows}u) {
    var sum = 0.0;
    for (var i = 0u; i < ${threads}u / size; i++) { sum += row_cells[i * ${rows}u + t]; }
    x_norms[t] = norm_of(sum);
  }
  workgroupBarrier();
}
`;
}

/** One row: loads first, and all of them at once. */
function keptStage({ threads, octets, segment, norm, mail }: Staging): string {
  const steps = Array.from({ length: Math.ceil(segment / threads) }, (_, i) => i);
  const index = (i: number): string => (i === 0 ? 't' : `t + ${i * threads}u`);
  const inside = (i: number): string => ((i + 1) * threads <= octets ? '' : `${index(i)} < ${octets}u`);
  const at = (i: number): string => (inside(i) === '' ? index(i) : `min(${index(i)}, ${octets - 1}u)`);
  const each = (text: (i: number) => string): string => steps.map(text).join('');
  const weights = each((i) => (norm === undefined ? '' : `  let w${i} = norm_octet(${at(i)});\n`));
  const values = each((i) => `  ${mail ? '' : 'var '}v${i} = x_octet(first_row, ${at(i)});\n`);
  const guards = each((i) =>
    inside(i) === '' ? '' : `  if (${index(i)} >= ${octets}u) { v${i} = Eight(); }\n`,
  );
  const loads = mail
    ? `${each((i) => `  var v${i} = Eight();\n`)}${weights}  if (t == 0u) { loop { x_wait(); if (!mail_again()) { break; } } }\n  workgroupBarrier();\n  loop {\n${values}    if (!mail_again()) { break; }\n  }\n${guards}`
    : `${values}${weights}${guards}`;
  const sum = steps.map((i) => `squares_of(v${i})`).join(' + ');
  const measure =
    norm === undefined
      ? ''
      : `  let norm = inverseSqrt(row_sum(${sum}, t, size) / ${norm.K}.0 + ${norm.eps});\n`;
  const value = (i: number): string => (norm === undefined ? `v${i}` : `scaled(v${i}, norm, w${i})`);
  return `fn stage(first_row: u32, first_octet: u32, t: u32, size: u32) {
${loads}${measure}${each((i) => `  store_octet(${index(i)}, ${value(i)}, t);\n`)}  workgroupBarrier();
}
`;
}

function steppedStage({ threads, rows, octets, segment, norm }: Staging): string {
  const size = rows * segment;
  const row = rows === 1 ? '0u' : `min(i / ${segment}u, ${rows - 1}u)`;
  const octet = rows === 1 ? 'i' : `i % ${segment}u`;
  const normed = norm === undefined ? '' : '    v = scaled(v, x_norms[r], norm_octet(min(o, LAST)));\n';
  return `fn stage(first_row: u32, first_octet: u32, t: u32, size: u32) {
  for (var step = 0u; step < ${Math.ceil(size / threads)}u; step++) {
    let i = step * ${threads}u + t;
    let r = ${row};
    let o = first_octet + ${octet};
    var v = x_octet(first_row + r, min(o, LAST));
${normed}    if (i >= ${size}u || o > LAST) { v = Eight(); }
    store_octet(i, v, t);
  }
  workgroupBarrier();
}
`.replaceAll('LAST', `${octets - 1}u`);
}

/** `store_octet(i, v, t)`, by all threads together, for neighbouring octets i; those past the end are dropped. */
function storeFunction({ mode, rows, segment, subgroups }: Staging): string {
  const size = rows * segment;
  if (mode === 'f32') {
    return `fn store_octet(i: u32, v: Eight, t: u32) { if (i < ${size}u) { x_tile[i] = v; } }
`;
  }
  const error =
    mode === 'int8x2'
      ? `
    x_errors[i] = vec2<u32>(pack4xI8(vec4<i32>(round((a - round(a)) * 254.0))), pack4xI8(vec4<i32>(round((b - round(b)) * 254.0))));`
      : '';
  // The largest magnitude is found as bits, in which NaN and infinity are the largest.
  const block =
    subgroups === undefined
      ? `  x_peaks[t] = own;
  workgroupBarrier();
  let block = t & ~3u;
  let bits = max(max(x_peaks[block], x_peaks[block + 1u]), max(x_peaks[block + 2u], x_peaks[block + 3u]));
  workgroupBarrier();`
      : `  let pair = max(own, subgroupShuffleXor(own, 1u));
  let bits = max(pair, subgroupShuffleXor(pair, 2u));`;
  return `fn store_octet(i: u32, v: Eight, t: u32) {
  let most = max(bitcast<vec4<u32>>(abs(v.a)), bitcast<vec4<u32>>(abs(v.b)));
  let own = max(max(most.x, most.y), max(most.z, most.w));
${block}
  let peak = bitcast<f32>(bits);
  let inverse = select(0.0, 127.0 / peak, bits > 0x04000000u);
  if (i < ${size}u) {
    let a = v.a * inverse;
    let b = v.b * inverse;
    x_codes[i] = vec2<u32>(pack4xI8(vec4<i32>(round(a))), pack4xI8(vec4<i32>(round(b))));${error}
    if ((i & 3u) == 0u) { x_scales[i >> 2u] = peak * ${1 / 127}; }
  }
}
`;
}
