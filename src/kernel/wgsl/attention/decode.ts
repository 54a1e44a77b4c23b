// Attention of single rows: a workgroup takes the query heads that share a key head, and a run of keys. Keys are divided
// into chunks: scores of a chunk (a few lanes per key), softmax against a running maximum, then values (a thread per unit of
// the head and share of the keys). With splits, many workgroups share a row's keys and a second pass combines what they found.
// How a row's keys are divided depends on its own position alone, so neighbours in a batch do not change its result.
//
// Floor: 2 caches x keys x Dh x bytes / bandwidth; on an H100 8 heads of 64, f16, 8,192 keys are 16.8 MB or 5 us.

import { groupIndex } from '../common.ts';
import { type GpuBinding, type GpuPass, grid, type KernelRequest } from '../contract.ts';
import { segmentReduce } from './segments.ts';
import {
  type AttentionShape,
  type CacheUnit,
  cacheBindings,
  cacheUnit,
  keyFunctions,
  type RowFilter,
  rowFilter,
} from './shape.ts';
import { chunkFunctions, partialBinding, partialStride } from './splits.ts';

/** How the work is laid out. */
export interface DecodeLayout {
  readonly threads: number;
  /** Keys of a chunk: a multiple of threads / lanes. */
  readonly chunk: number;
  /** Neighbouring threads that share a key. */
  readonly lanes: number;
  /** Query heads of a workgroup. */
  readonly block: number;
  /** Workgroups that share a row's keys at most; 1: no second pass. */
  readonly splits: number;
  /** Loads that are under way together. */
  readonly unroll: number;
}

const times = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join('');

/** Threads that work on one head's softmax. */
const segmentOf = ({ threads, block }: DecodeLayout): number => threads / 2 ** Math.ceil(Math.log2(block));

/** Bytes of workgroup memory. */
export function decodeBytes(shape: AttentionShape, { threads, chunk, block }: DecodeLayout): number {
  const { pieces, lanes } = cacheUnit(shape);
  const heads = block * (4 * shape.headDim + 4 * chunk + 8);
  return heads + 4 * chunk + 4 * threads * pieces * lanes + 8 * threads;
}

/** Dot products of a chunk's keys with the query heads, a few keys of each thread at a time. */
function scoreLoop(layout: DecodeLayout, unit: CacheUnit): string {
  const { threads, chunk, lanes, block, unroll } = layout;
  const perRound = threads / lanes;
  const own = unit.units / lanes;
  const rounds = Math.min(unroll, chunk / perRound);
  const load = (r: number): string => `      let key_${r} = k + ${r * perRound}u + t / lanes;
      let at_${r} = kv_head * cap + slots[key_${r}];
${times(own, (i) => `      let k_${r}_${i} = ${unit.load('k_cache', `at_${r}`, `${i}u * lanes + t % lanes`)};\n`)}`;
  const query = (g: number, i: number, p: number): string =>
    `q_shared[${g}u * width + (${i}u * lanes + t % lanes) * ${unit.pieces}u + ${p}u]`;
  const products = (r: number, g: number): string =>
    Array.from({ length: own * unit.pieces }, (_, n) => {
      const [i, p] = [Math.floor(n / unit.pieces), n % unit.pieces];
      return unit.dot(unit.decode(`k_${r}_${i}`, p), query(g, i, p));
    }).join('\n        + ');
  const reduce = (name: string): string =>
    times(Math.log2(lanes), (i) => `      ${name} += subgroupShuffleXor(${name}, ${2 ** i}u);\n`);
  const head = (r: number, g: number): string =>
    `      var s_${r}_${g} = ${products(r, g)};\n${reduce(`s_${r}_${g}`)}`;
  const store = (r: number): string => `      if (t % lanes == 0u) {
${times(block, (g) => `        scores[${g}u * chunk + key_${r}] = s_${r}_${g};\n`)}      }
`;
  return `    for (var k = 0u; k < live; k += ${rounds * perRound}u) {
${times(rounds, load)}${times(rounds, (r) => times(block, (g) => head(r, g)))}${times(rounds, store)}    }
`;
}

/** Weights from scores: a segment of threads per query head. */
const softmaxStep = (layout: DecodeLayout): string => `    var top = lowest;
    if (own_head < ${layout.block}u) {
      for (var j = skip + own_lane; j < live; j += segment) {
        let s = score(scores[own_head * chunk + j]);
        scores[own_head * chunk + j] = s;
        top = max(top, s);
      }
    }
    let before = running_max;
    running_max = max(before, segment_max(top, t));
    let factor = exp(before - running_max);
    var sum = 0.0;
    if (own_head < ${layout.block}u) {
      for (var j = skip + own_lane; j < live; j += segment) {
        let p = exp(scores[own_head * chunk + j] - running_max);
        scores[own_head * chunk + j] = p;
        sum += p;
      }
      if (own_lane == 0u) { factors[own_head] = factor; }
    }
    running_sum = running_sum * factor + segment_sum(sum, t);
    workgroupBarrier();
`;

/** Values of a chunk that a thread loads before the scores are there; 0: too many to hold. */
function valuesAhead({ threads, chunk, unroll }: DecodeLayout, unit: CacheUnit): number {
  const each = chunk / Math.floor(threads / unit.units);
  return unroll > 1 && Number.isInteger(each) && each <= 8 ? each : 0;
}

const loadValue = (unit: CacheUnit, j: string): string =>
  unit.load('v_cache', `kv_head * cap + slots[${j}]`, 'unit');

/** Loads that the scores' arithmetic hides. Slots beyond the keys are 0, and their values are not used. */
const loadAhead = (layout: DecodeLayout, unit: CacheUnit): string =>
  times(
    valuesAhead(layout, unit),
    (r) => `    let value_${r} = ${loadValue(unit, `min(share, shares - 1u) + ${r}u * shares`)};\n`,
  );

/** Values of a chunk, weighted, onto the accumulators. */
function valueLoop(layout: DecodeLayout, unit: CacheUnit): string {
  const { block, unroll } = layout;
  const pieces = (line: (p: number) => string): string => times(unit.pieces, line);
  const add = (g: number, j: string): string =>
    `          let p_${g} = scores[${g}u * chunk + ${j}];\n${pieces((p) => `          acc_${g}_${p} += p_${g} * v_${p};\n`)}`;
  const body = (j: string, value: string): string =>
    `${pieces((p) => `          let v_${p} = ${unit.decode(value, p)};\n`)}${times(block, (g) => add(g, j))}`;
  const ahead = valuesAhead(layout, unit);
  const held = times(ahead, (r) => {
    const j = `share + ${r}u * shares`;
    return `      if (${j} >= skip && ${j} < live) {\n${body(j, `value_${r}`)}      }\n`;
  });
  const looped = `      var j = skip + share;
      for (; j + ${unroll - 1}u * shares < live; j += ${unroll}u * shares) {
${times(unroll, (r) => `        let value_${r} = ${loadValue(unit, `j + ${r}u * shares`)};\n`)}${times(
  unroll,
  (r) => `        {\n${body(`j + ${r}u * shares`, `value_${r}`)}        }\n`,
)}      }
      for (; j < live; j += shares) {
        let value = ${loadValue(unit, 'j')};
        {
${body('j', 'value')}        }
      }
`;
  return `    if (share < shares) {
${times(block, (g) => pieces((p) => `      acc_${g}_${p} *= factors[${g}];\n`))}${ahead > 0 ? held : looped}    }
`;
}

/** Sums the accumulators of all shares of the keys, one query head after the other, and stores them. */
function finish(shape: AttentionShape, { block, splits }: DecodeLayout, unit: CacheUnit): string {
  const sums =
    splits > 1
      ? `    let at = ((part * heads + first_head + own_head) * splits + split) * ${partialStride(shape)}u + width;
${
  unit.lanes > 1
    ? `    partial[at] = ${unit.piece}(running_max, running_sum${unit.lanes === 4 ? ', 0.0, 0.0' : ''});`
    : '    partial[at] = running_max;\n    partial[at + 1u] = running_sum;'
}
    factors[own_head] = 1.0;`
      : shape.hasSinks
        ? `    let sink = sinks[first_head + own_head];
    let most = max(running_max, sink);
    let factor = exp(running_max - most);
    factors[own_head] = factor / (running_sum * factor + exp(sink - most));`
        : '    factors[own_head] = 1.0 / running_sum;';
  const store =
    splits > 1
      ? `partial[((part * heads + head) * splits + split) * ${partialStride(shape)}u + i] = total;`
      : `y[(row * heads + head) * width + i] = total * factors[${'{g}'}];`;
  return `  workgroupBarrier();
  if (own_head < ${block}u && own_lane == 0u) {
${sums}
  }
${times(
  block,
  (g) => `  {
    let head = first_head + ${g}u;
    if (share < shares) {
${times(unit.pieces, (p) => `      shared_values[share * width + unit * ${unit.pieces}u + ${p}u] = acc_${g}_${p};\n`)}    }
    workgroupBarrier();
    for (var i = t; i < width; i += threads) {
      var total = shared_values[i];
      for (var s = 1u; s < shares; s++) { total += shared_values[s * width + i]; }
      ${store.replace('{g}', `${g}`)}
    }
    workgroupBarrier();
  }
`,
)}`;
}

/** Named sizes of the code. */
function constants(shape: AttentionShape, layout: DecodeLayout, unit: CacheUnit): string {
  const sizes: readonly (readonly [string, number])[] = [
    ['heads', shape.heads],
    ['group', shape.heads / shape.kvHeads],
    ['cap', shape.cap],
    ['threads', layout.threads],
    ['chunk', layout.chunk],
    ['lanes', layout.lanes],
    ['splits', layout.splits],
    ['segment', segmentOf(layout)],
    ['units', unit.units],
    ['width', unit.units * unit.pieces],
    ['shares', Math.floor(layout.threads / unit.units)],
  ];
  return `${sizes.map(([name, n]) => `const ${name} = ${n}u;\n`).join('')}const lowest = -3.0e38f;\n`;
}

/** The pass over keys. */
export function decodePass(
  request: KernelRequest<'attention'>,
  shape: AttentionShape,
  layout: DecodeLayout,
  filter: RowFilter,
): GpuPass {
  const unit = cacheUnit(shape);
  const { threads, lanes, block, splits } = layout;
  const perRow = (shape.heads / block) * splits;
  const shuffle = lanes > 1 ? (request.caps.subgroups?.min ?? 1) : 1;
  const reduce = (name: string, combine: (a: string, b: string) => string): string =>
    segmentReduce(name, threads, segmentOf(layout), shuffle, combine);
  const code = `${groupIndex}${constants(shape, layout, unit)}${rowFilter(shape, filter)}${keyFunctions(shape)}${unit.code}${chunkFunctions(layout)}
/** Query heads, the slots of a chunk, its scores and then weights [head][key]. */
var<workgroup> q_shared: array<${unit.piece}, ${block}u * width>;
var<workgroup> slots: array<u32, chunk>;
var<workgroup> scores: array<f32, ${block}u * chunk>;
var<workgroup> factors: array<f32, ${block}>;
var<workgroup> shared_values: array<${unit.piece}, shares * width>;
${reduce('segment_max', (a, b) => `max(${a}, ${b})`)}${reduce('segment_sum', (a, b) => `${a} + ${b}`)}
@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, count);
  let row = item / ${perRow}u;
  if (row >= ${shape.rows}) { return; }
  if (!row_taken(row)) { return; }
  let split = item % splits;
  let first_head = item / splits % ${shape.heads / block}u * ${block}u;
  let kv_head = first_head / group;
  let position = last_key(row);
  let from_key = first_key(position);
  let chunks = chunks_of(position);
  let from_chunk = i32(split) * chunks.per_split;
  let to_chunk = min(chunks.count, from_chunk + chunks.per_split);
  if (from_chunk >= to_chunk) { return; }
  if (t == 0u) { check_position(row); }
${splits > 1 ? `  let part = ${shape.slots.paged ? 'u32(sequences[row])' : 'row'};\n` : ''}  for (var i = t; i < ${block}u * width; i += threads) {
    q_shared[i] = q[(row * heads + first_head) * width + i];
  }
  let own_head = t / segment;
  let own_lane = t % segment;
  let unit = t % units;
  let share = t / units;
  var running_max = lowest;
  var running_sum = 0.0;
${times(block, (g) => times(unit.pieces, (p) => `  var acc_${g}_${p} = ${unit.piece}(0.0);\n`))}
  for (var c = from_chunk; c < to_chunk; c++) {
    let chunk_key = chunks.first + c * i32(chunk);
    let skip = u32(max(0, from_key - chunk_key));
    let live = u32(min(i32(chunk), position - chunk_key + 1));
    workgroupBarrier();
    for (var j = t; j < chunk; j += threads) {
      slots[j] = 0u;
      if (j >= skip && j < live) { slots[j] = key_slot(row, chunk_key + i32(j)); }
    }
    workgroupBarrier();
${loadAhead(layout, unit)}${scoreLoop(layout, unit)}    workgroupBarrier();
${softmaxStep(layout)}${valueLoop(layout, unit)}  }
${finish(shape, layout, unit)}}
`;
  const sinks: readonly GpuBinding[] =
    shape.hasSinks && splits === 1
      ? [{ buffer: shape.buffers.sinks, name: 'sinks', type: 'array<f32>', access: 'read' }]
      : [];
  return {
    name: splits > 1 ? `attention ${splits} splits` : 'attention rows',
    ...(lanes > 1 ? { enables: ['subgroups'] as const } : {}),
    bindings: [
      { buffer: shape.buffers.q, name: 'q', type: `array<${unit.piece}>`, access: 'read' },
      ...cacheBindings(shape, unit.type),
      ...sinks,
      splits > 1
        ? partialBinding(unit.piece, 'read_write')
        : { buffer: shape.buffers.y, name: 'y', type: `array<${unit.piece}>`, access: 'read_write' },
    ],
    code,
    groups: request.sized([request.p.rows], (rows = 0) => grid(rows * perRow)),
  };
}
