// Attention of many rows over an f16 cache: a workgroup takes the query heads of some tokens that share a key head, 16 rows of
// (token, head) a subgroup, and goes through their keys in tiles. Scores and results are products of subgroup matrices, whose
// elements are out of reach: scores go through workgroup memory to be weighted, and results only to be scaled down when a row's
// maximum has grown by more than `slack` since it was last taken. Queries and weights are split into two halves
// (x = high + low, 22 bits), keys and values are halves already, so that results are as those in f32.
//
// A row's result depends on its own keys alone: tiles start at multiples of their size, and keys that a row does not see
// change nothing of it. Floor: 8 x rows x keys x Dh x heads operations (twice for the halves) / matrix peak.

import { groupIndex } from '../common.ts';
import { type GpuPass, grid } from '../contract.ts';
import { type MatrixOps, matrixOps, plainOps, type TileStrides } from './matrices.ts';
import { type AttentionShape, cacheBindings, keyFunctions, type RowFilter, rowFilter } from './shape.ts';

export interface AttentionTile {
  /** Subgroups of 32, each with 16 rows. */
  readonly subgroups: number;
  /** Keys of a tile: 32 or 64. */
  readonly keys: number;
  /** Loops instead of subgroup matrices. */
  readonly plain: boolean;
}

const lines = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n');

const stridesOf = ({ headDim }: AttentionShape, { keys }: AttentionTile): TileStrides => ({
  halves: headDim / 8 + 1,
  weights: keys / 8 + 1,
  scores: keys / 4 + 1,
});

/** Words of workgroup memory, by array. */
function sizesOf(shape: AttentionShape, layout: AttentionTile) {
  const strides = stridesOf(shape, layout);
  const rows = layout.subgroups * 16;
  return {
    halves: Math.max(2 * layout.keys, rows) * strides.halves,
    weights: 2 * rows * strides.weights,
    scores: rows * strides.scores,
  };
}

/** Bytes of workgroup memory. */
export function tileBytes(shape: AttentionShape, layout: AttentionTile): number {
  const { halves, weights, scores } = sizesOf(shape, layout);
  return 16 * (halves + weights + scores) + 4 * 16 * layout.subgroups + 16;
}

/** Whether tiles can serve a shape: whole matrices along the head, and a token's heads in a tile. */
export const tilesServe = (
  { f16, headDim, heads, kvHeads }: AttentionShape,
  { subgroups }: AttentionTile,
): boolean => f16 && headDim % 16 === 0 && headDim <= 128 && heads / kvHeads <= 16 * subgroups;

/** Queries into matrices, first their high halves, then what these leave. */
const loadQueries = (dims: number, ops: MatrixOps): string =>
  ['high', 'low']
    .map(
      (half) => `  for (var i = t; i < tile_rows * units; i += threads) {
    let token = first_token + i / units / group;
    var a = vec4(0.0);
    var b = vec4(0.0);
    if (i / units < tile_tokens * group && token < end_token) {
      let at = ((token * heads + kv_head * group + i / units % group) * units + i % units) * 2u;
      a = q[at];
      b = q[at + 1u];
    }
    halves[i / units * half_stride + i % units] = ${half}_halves(a, b);
  }
  workgroupBarrier();
${lines(dims, (d) => `  let q_${half}_${d} = ${ops.load('queries', `own_rows * half_stride + ${2 * d}u`)};`)}
  workgroupBarrier();`,
    )
    .join('\n');

/**
 * The tasks of a thread when a tile's keys and values are fetched: 16 bytes each. What lies outside the keys is dropped when it is
 * stored, a tile later: a look at what was fetched would wait for it.
 */
function staging(shape: AttentionShape, { keys, subgroups }: AttentionTile) {
  const words = (keys * shape.headDim) / 8;
  const threads = 32 * subgroups;
  const tasks = Math.ceil(words / threads);
  const guard = (i: number, text: string): string =>
    (i + 1) * threads > words ? `if (t + ${i * threads}u < ${words}u) { ${text} }` : text;
  const place = (i: number): string => `(t + ${i * threads}u)`;
  return {
    declare: lines(tasks, (i) => `    var next_k_${i} = vec4(0u);\n    var next_v_${i} = vec4(0u);`),
    fetch: (key: string): string =>
      lines(tasks, (i) =>
        guard(
          i,
          `let at_${i} = kv_word(begin, ${key} + i32(${place(i)} / units), from_key, to_key, kv_head) + ${place(i)} % units;
      next_k_${i} = k_cache[at_${i}];
      next_v_${i} = v_cache[at_${i}];`,
        ),
      ),
    store: lines(tasks, (i) =>
      guard(
        i,
        `let kept_${i} = is_kept(key + i32(${place(i)} / units), from_key, to_key);
      halves[${place(i)} / units * half_stride + ${place(i)} % units] = select(vec4(0u), next_k_${i}, kept_${i});
      halves[(keys + ${place(i)} / units) * half_stride + ${place(i)} % units] = select(vec4(0u), next_v_${i}, kept_${i});`,
      ),
    ),
  };
}

/** `Sums()` is written out: without it a variable of a loop keeps its value from the turn before (Dawn of webgpu 0.6.2). */
const scoresOf = (dims: number, { keys }: AttentionTile, ops: MatrixOps): string =>
  lines(
    keys / 16,
    (j) => `      var s_${j} = Sums();
${lines(
  dims,
  (d) => `      let k_${j}_${d} = ${ops.load('keys', `${16 * j}u * half_stride + ${2 * d}u`)};
      ${ops.multiply(`s_${j}`, `q_high_${d}`, `k_${j}_${d}`)}
      ${ops.multiply(`s_${j}`, `q_low_${d}`, `k_${j}_${d}`)}`,
)}
      ${ops.store(`s_${j}`, `own_rows * score_stride + ${4 * j}u`)}`,
  );

/** Two lanes a row: masks, the row's maximum, weights in two halves. Written out: loops over arrays end up in memory. */
const softmaxStep = ({ keys }: AttentionTile): string => `      let own_key = key + i32(side) * ${keys / 2};
      let place = own_row * score_stride + side * ${keys / 8}u;
${lines(keys / 8, (i) => `      let values_${i} = masked(scores[place + ${i}u], own_key + ${4 * i}, own_first, own_last, in_segment);`)}
      let tops = ${Array.from({ length: keys / 8 }, (_, i) => `values_${i}`).reduce((a, b) => `max(${a}, ${b})`)};
      var top = max(max(tops.x, tops.y), max(tops.z, tops.w));
      top = max(top, subgroupShuffleXor(top, 1u));
      if (top > row_max + slack) {
        let factor = exp(row_max - top);
        if (row_sum > 0.0) { atomicStore(&rescales, 1u); }
        factors[own_row] = factor;
        row_sum *= factor;
        row_max = top;
      } else {
        factors[own_row] = 1.0;
      }
      var sum = vec4(0.0);
      let target_word = own_row * weight_stride + side * ${keys / 16}u;
${lines(
  keys / 16,
  (i) => `      let a_${i} = weights_of(values_${2 * i}, row_max);
      let b_${i} = weights_of(values_${2 * i + 1}, row_max);
      sum += a_${i} + b_${i};
      weights[target_word + ${i}u] = high_halves(a_${i}, b_${i});
      weights[tile_rows * weight_stride + target_word + ${i}u] = low_halves(a_${i}, b_${i});`,
)}
      let own_sum = sum.x + sum.y + sum.z + sum.w;
      row_sum += own_sum + subgroupShuffleXor(own_sum, 1u);
      workgroupBarrier();
`;

/** Results times the factors of their rows, one matrix after the other through the memory of the scores. */
const rescale = (dims: number, ops: MatrixOps): string => `      if (workgroupUniformLoad(&rescales) != 0u) {
${lines(
  dims,
  (d) => `        ${ops.store(`o_${d}`, 'own_rows * score_stride')}
        workgroupBarrier();
        for (var i = 0u; i < 2u; i++) {
          let at = own_row * score_stride + side * 2u + i;
          scores[at] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(scores[at]) * factors[own_row]);
        }
        workgroupBarrier();
        o_${d} = ${ops.load('sums', 'own_rows * score_stride')};
        workgroupBarrier();`,
)}
      }
`;

const addValues = (dims: number, { keys }: AttentionTile, ops: MatrixOps): string =>
  lines(
    keys / 16,
    (j) => `      let p_high_${j} = ${ops.load('weights', `own_rows * weight_stride + ${2 * j}u`)};
      let p_low_${j} = ${ops.load('weights', `(tile_rows + own_rows) * weight_stride + ${2 * j}u`)};
${lines(
  dims,
  (d) => `      let v_${j}_${d} = ${ops.load('values', `(keys + ${16 * j}u) * half_stride + ${2 * d}u`)};
      ${ops.multiply(`o_${d}`, `p_high_${j}`, `v_${j}_${d}`)}
      ${ops.multiply(`o_${d}`, `p_low_${j}`, `v_${j}_${d}`)}`,
)}`,
  );

const storeResults = (dims: number, shape: AttentionShape, ops: MatrixOps): string => `${
  shape.hasSinks
    ? `  let sink = sinks[min(head, heads - 1u)];
  let most = max(row_max, sink);
  let weight = exp(row_max - most);
  let inverse = weight / (row_sum * weight + exp(sink - most));`
    : '  let inverse = 1.0 / row_sum;'
}
  let written = exists && row_taken(min(token, rows - 1u));
${lines(
  dims,
  (d) => `  ${ops.store(`o_${d}`, 'own_rows * score_stride')}
  workgroupBarrier();
  if (written) {
    for (var i = 0u; i < 2u; i++) {
      let value = bitcast<vec4<f32>>(scores[own_row * score_stride + side * 2u + i]);
      y[(token * heads + head) * units * 2u + ${4 * d}u + side * 2u + i] = value * inverse;
    }
  }
  workgroupBarrier();`,
)}
`;

/** The rows of a tile that attend to the same keys: all, or those of one sequence. */
const segment = (paged: boolean): string =>
  paged
    ? `    var end = begin + 1u;
    while (end < end_token && sequences[end] == sequences[begin]) { end++; }
    if (!row_taken(begin)) { begin = end; continue; }
`
    : '    let end = end_token;\n';

function constants(shape: AttentionShape, layout: AttentionTile): string {
  const strides = stridesOf(shape, layout);
  const group = shape.heads / shape.kvHeads;
  const sizes: readonly (readonly [string, number])[] = [
    ['heads', shape.heads],
    ['kv_heads', shape.kvHeads],
    ['group', group],
    ['cap', shape.cap],
    ['units', shape.headDim / 8],
    ['threads', 32 * layout.subgroups],
    ['keys', layout.keys],
    ['tile_rows', 16 * layout.subgroups],
    ['tile_tokens', Math.floor((16 * layout.subgroups) / group)],
    ['half_stride', strides.halves],
    ['weight_stride', strides.weights],
    ['score_stride', strides.scores],
  ];
  return `${sizes.map(([name, n]) => `const ${name} = ${n}u;\n`).join('')}const lowest = -3.0e38f;
/** Weights are at most e^slack, which a half can hold. */
const slack = 8.0f;
`;
}

const functions = `fn is_kept(key: i32, from_key: i32, to_key: i32) -> bool { return key >= from_key && key <= to_key; }
/** The first word of a key. */
fn kv_word(row: u32, key: i32, from_key: i32, to_key: i32, kv_head: u32) -> u32 {
  return (kv_head * cap + key_slot(row, clamp(key, from_key, to_key))) * units;
}
fn high_halves(a: vec4<f32>, b: vec4<f32>) -> vec4<u32> {
  return vec4(pack2x16float(a.xy), pack2x16float(a.zw), pack2x16float(b.xy), pack2x16float(b.zw));
}
fn low_halves(a: vec4<f32>, b: vec4<f32>) -> vec4<u32> {
  let high = high_halves(a, b);
  return high_halves(
    a - vec4(unpack2x16float(high.x), unpack2x16float(high.y)),
    b - vec4(unpack2x16float(high.z), unpack2x16float(high.w)));
}
/** Scores of the four keys from \`key\` on; \`lowest\` where the row does not see them. */
fn masked(raw: vec4<u32>, key: i32, first: i32, last: i32, taken: bool) -> vec4<f32> {
  let dots = bitcast<vec4<f32>>(raw);
  let at = vec4(key) + vec4(0, 1, 2, 3);
  let seen = (at >= vec4(first)) & (at <= vec4(last)) & vec4(taken);
  return select(vec4(lowest), vec4(score(dots.x), score(dots.y), score(dots.z), score(dots.w)), seen);
}
fn weights_of(s: vec4<f32>, row_max: f32) -> vec4<f32> { return select(exp(s - row_max), vec4(0.0), s == vec4(lowest)); }
`;

export function tilePass(shape: AttentionShape, layout: AttentionTile, filter: RowFilter): GpuPass {
  const ops = (layout.plain ? plainOps : matrixOps)(stridesOf(shape, layout));
  const dims = shape.headDim / 16;
  const sizes = sizesOf(shape, layout);
  const stage = staging(shape, layout);
  const tokens = Math.floor((16 * layout.subgroups * shape.kvHeads) / shape.heads);
  const place = layout.plain
    ? {
        builtins: '@builtin(local_invocation_index) index: u32',
        subgroup: 'index / 32u',
        lane: 'index % 32u',
      }
    : {
        builtins:
          '@builtin(subgroup_id) subgroup_number: u32, @builtin(subgroup_invocation_id) subgroup_lane: u32',
        subgroup: 'subgroup_number',
        lane: 'subgroup_lane',
      };
  const code = `${groupIndex}${constants(shape, layout)}${rowFilter(shape, filter)}${keyFunctions(shape)}
/** Queries, later keys and then values; weights, high halves and then low ones; scores, later results. */
var<workgroup> halves: array<vec4<u32>, ${sizes.halves}>;
var<workgroup> weights: array<vec4<u32>, ${sizes.weights}>;
var<workgroup> scores: array<vec4<u32>, ${sizes.scores}>;
var<workgroup> factors: array<f32, tile_rows>;
var<workgroup> rescales: atomic<u32>;
${functions}${ops.prelude}
@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, ${place.builtins}) {
  let subgroup = ${place.subgroup};
  let lane = ${place.lane};
  let t = subgroup * 32u + lane;
  let rows = ${shape.rows};
  let tiles = (rows + tile_tokens - 1u) / tile_tokens;
  let item = group_index(id, count);
  if (item >= tiles * kv_heads) { return; }
  let kv_head = item % kv_heads;
  // The last tokens have the most keys: they come first.
  let first_token = (tiles - 1u - item / kv_heads) * tile_tokens;
  let end_token = min(rows, first_token + tile_tokens);
  let own_rows = subgroup * 16u;
  let own_row = own_rows + lane / 2u;
  let side = lane % 2u;
  let token = first_token + own_row / group;
  let head = kv_head * group + own_row % group;
  let exists = own_row < tile_tokens * group && token < end_token;
  let own_last = last_key(min(token, rows - 1u));
  let own_first = first_key(own_last);
  if (exists) { check_position(token); }
${loadQueries(dims, ops)}
  var row_max = lowest;
  var row_sum = 0.0;
${lines(dims, (d) => `  var o_${d} = Sums();`)}
  var begin = first_token;
  while (begin < end_token) {
${segment(shape.slots.paged)}    let in_segment = exists && token >= begin && token < end;
    var from_key = first_key(last_key(begin));
    var to_key = last_key(begin);
    for (var r = begin + 1u; r < end; r++) {
      from_key = min(from_key, first_key(last_key(r)));
      to_key = max(to_key, last_key(r));
    }
    let first_tile = from_key / i32(keys) * i32(keys);
${stage.declare}
    {
${stage.fetch('first_tile')}
    }
    for (var key = first_tile; key <= to_key; key += i32(keys)) {
      workgroupBarrier();
      if (t == 0u) { atomicStore(&rescales, 0u); }
${stage.store}
      workgroupBarrier();
      if (key + i32(keys) <= to_key) {
${stage.fetch('key + i32(keys)')}
      }
${scoresOf(dims, layout, ops)}
      workgroupBarrier();
${softmaxStep(layout)}${rescale(dims, ops)}${addValues(dims, layout, ops)}
    }
    begin = end;
  }
  workgroupBarrier();
${storeResults(dims, shape, ops)}}
`;
  return {
    name: `attention tiles ${16 * layout.subgroups}x${layout.keys}`,
    enables: layout.plain ? ['subgroups'] : ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'],
    bindings: [
      { buffer: shape.buffers.q, name: 'q', type: 'array<vec4<f32>>', access: 'read' },
      ...cacheBindings(shape, 'vec4<u32>'),
      ...(shape.hasSinks
        ? [{ buffer: shape.buffers.sinks, name: 'sinks', type: 'array<f32>', access: 'read' } as const]
        : []),
      { buffer: shape.buffers.y, name: 'y', type: 'array<vec4<f32>>', access: 'read_write' },
    ],
    code,
    groups: (params) => grid(Math.ceil(shape.rowsOf(params) / tokens) * shape.kvHeads),
  };
}
