// Splits of a row's keys over workgroups: how they are cut, where they leave what they found, and the pass that combines it.

import { groupIndex } from '../common.ts';
import { type GpuBinding, type GpuPass, grid } from '../contract.ts';
import {
  type AttentionShape,
  cacheUnit,
  positionsBinding,
  type RowFilter,
  rowFilter,
  rowFunctions,
} from './shape.ts';

interface Splits {
  readonly chunk: number;
  readonly splits: number;
}

/** `chunks_of(position)`: the first key, the number of chunks, and the chunks of a split. Every split takes as many. */
export const chunkFunctions = ({
  chunk,
  splits,
}: Splits): string => `struct Chunks { first: i32, count: i32, per_split: i32 }
fn chunks_of(position: i32) -> Chunks {
  let first = first_key(position) / ${chunk} * ${chunk};
  let count = (position - first) / ${chunk} + 1;
  return Chunks(first, count, (count + ${splits - 1}) / ${splits});
}
`;

/** Pieces of a split's result: the values, then one with the maximum and the sum of weights (two when a piece is one number). */
export function partialStride(shape: AttentionShape): number {
  const { units, pieces, lanes } = cacheUnit(shape);
  return units * pieces + (lanes > 1 ? 1 : 2);
}

export const partialBinding = (type: string, access: GpuBinding['access']): GpuBinding => ({
  buffer: { scratch: 0 },
  name: 'partial',
  type: `array<${type}>`,
  access,
});

/** Bytes of the splits' results. Parts are rows, or sequences of a paged cache. */
export const partialBytes = (shape: AttentionShape, splits: number, parts: number): number =>
  parts * shape.heads * splits * partialStride(shape) * cacheUnit(shape).lanes * 4;

const threads = 64;

/** A workgroup per row and head adds up what the splits found. */
export function combinePass(shape: AttentionShape, layout: Splits, filter: RowFilter): GpuPass {
  const { splits } = layout;
  const code = `${groupIndex}${rowFilter(shape, filter)}${rowFunctions(shape)}${chunkFunctions(layout)}
const heads = ${shape.heads}u;
const head_dim = ${shape.headDim}u;
const splits = ${splits}u;
/** Numbers of a split's result. */
const stride = ${partialStride(shape) * cacheUnit(shape).lanes}u;
/** Of the splits: their maxima and then what they count for, and the sums of their weights. */
var<workgroup> weights: array<f32, splits>;
var<workgroup> sums: array<f32, splits>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let item = group_index(id, count);
  let row = item / heads;
  let head = item % heads;
  if (row >= ${shape.rows}) { return; }
  if (!row_taken(row)) { return; }
  let chunks = chunks_of(last_key(row));
  let live = u32((chunks.count + chunks.per_split - 1) / chunks.per_split);
  let first = (${shape.slots.paged ? 'u32(sequences[row])' : 'row'} * heads + head) * splits;
  for (var s = t; s < live; s += ${threads}u) {
    weights[s] = partial[(first + s) * stride + head_dim];
    sums[s] = partial[(first + s) * stride + head_dim + 1u];
  }
  workgroupBarrier();
  var most = ${shape.hasSinks ? 'sinks[head]' : 'weights[0]'};
  for (var s = 0u; s < live; s++) { most = max(most, weights[s]); }
  workgroupBarrier();
  for (var s = t; s < live; s += ${threads}u) { weights[s] = exp(weights[s] - most); }
  workgroupBarrier();
  var sum = ${shape.hasSinks ? 'exp(sinks[head] - most)' : '0.0'};
  for (var s = 0u; s < live; s++) { sum += sums[s] * weights[s]; }
  for (var i = t; i < head_dim; i += ${threads}u) {
    var total = 0.0;
    for (var s = 0u; s < live; s++) { total += partial[(first + s) * stride + i] * weights[s]; }
    y[(row * heads + head) * head_dim + i] = total / sum;
  }
}
`;
  return {
    name: `attention combine ${splits} splits`,
    bindings: [
      positionsBinding(shape),
      ...shape.slots.bindings.slice(0, 1),
      ...(shape.hasSinks
        ? [{ buffer: shape.buffers.sinks, name: 'sinks', type: 'array<f32>', access: 'read' } as const]
        : []),
      partialBinding('f32', 'read'),
      { buffer: shape.buffers.y, name: 'y', type: 'array<f32>', access: 'read_write' },
    ],
    code,
    groups: (params) => grid(shape.rowsOf(params) * shape.heads),
  };
}
