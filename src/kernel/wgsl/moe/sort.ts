// Tokens sorted by expert on the GPU, and the tiles that follow: what a grouped product reads.

import type { GpuCapabilities, GpuPass } from '../contract.ts';
import { fail, statusBinding } from '../status.ts';
import { absent } from './held.ts';

const threads = 256;

/** Slots (rows times experts per row) that one sort handles. */
export const sortSlots = 8192;

/** Experts whose counters fit workgroup memory. */
export const mostSorted = ({ maxWorkgroupBytes }: GpuCapabilities): number =>
  Math.floor((maxWorkgroupBytes - 8 * threads) / 4);

export const canSort = (experts: number, caps: GpuCapabilities): boolean => experts <= mostSorted(caps);

/** Tiles at most: every expert may end with a part of one. */
export const mostTiles = (slots: number, experts: number, tileRows: number): number =>
  Math.ceil(slots / tileRows) + Math.min(experts, slots);

export interface SortPass {
  /** Buffer with the expert ids `[rows, topk]`. */
  readonly ids: number;
  readonly experts: number;
  /** Slots of a run, as a u32 expression, and from its params. */
  readonly slots: string;
  readonly count: (params: readonly number[]) => number;
  /** The part this pass sorts: slots `first … first + sortSlots`. */
  readonly first: number;
  readonly most: number;
  readonly tileRows: number;
  /** Numbers of scratch buffers. */
  readonly order: number;
  readonly tiles: number;
}

/** Bytes of the scratch buffers `order` and `tiles`. */
export const sortBytes = ({ most, experts, tileRows }: Pick<SortPass, 'most' | 'experts' | 'tileRows'>) => ({
  order: 4 * most,
  tiles: 16 * (1 + mostTiles(most, experts, tileRows)),
});

/**
 * `order`: slots, those of one expert together. `tiles[0]`: number of tiles, first slot of this part; then per tile its start in
 * `order`, its rows (at most `tileRows`) and its expert. Absent ones are in no tile; another id outside the experts fails the run.
 */
export function sortPass(p: SortPass): GpuPass {
  const own = Math.ceil(p.experts / threads);
  const code = `// Slots of each expert, then the place in order of its next slot.
var<workgroup> places: array<atomic<u32>, ${p.experts}>;
// Slots and tiles of the experts of a thread, then of all before it too.
var<workgroup> sums: array<vec2<u32>, ${threads}>;
fn tiles_of(count: u32) -> u32 { return (count + ${p.tileRows - 1}u) / ${p.tileRows}u; }
@compute @workgroup_size(${threads})
fn main(@builtin(local_invocation_index) t: u32) {
  let end = min(${p.slots}, ${p.first + p.most}u);
  for (var e = t; e < ${p.experts}u; e += ${threads}u) { atomicStore(&places[e], 0u); }
  workgroupBarrier();
  for (var slot = ${p.first}u + t; slot < end; slot += ${threads}u) {
    let expert = u32(ids[slot]);
    if (expert < ${p.experts}u) { atomicAdd(&places[expert], 1u); } else if (ids[slot] != ${absent}) { ${fail('expert_id', 'ids[slot]')} }
  }
  workgroupBarrier();
  var mine = vec2<u32>();
  for (var e = t * ${own}u; e < min((t + 1u) * ${own}u, ${p.experts}u); e++) {
    let count = atomicLoad(&places[e]);
    mine += vec2<u32>(count, tiles_of(count));
  }
  sums[t] = mine;
  workgroupBarrier();
  for (var step = 1u; step < ${threads}u; step *= 2u) {
    var before = vec2<u32>();
    if (t >= step) { before = sums[t - step]; }
    workgroupBarrier();
    sums[t] += before;
    workgroupBarrier();
  }
  var at = sums[t] - mine;
  for (var e = t * ${own}u; e < min((t + 1u) * ${own}u, ${p.experts}u); e++) {
    let count = atomicLoad(&places[e]);
    for (var i = 0u; i < tiles_of(count); i++) {
      let done = i * ${p.tileRows}u;
      tiles[1u + at.y + i] = vec4<u32>(at.x + done, min(count - done, ${p.tileRows}u), e, 0u);
    }
    atomicStore(&places[e], at.x);
    at += vec2<u32>(count, tiles_of(count));
  }
  if (t == ${threads - 1}u) { tiles[0] = vec4<u32>(sums[t].y, ${p.first}u, 0u, 0u); }
  workgroupBarrier();
  for (var slot = ${p.first}u + t; slot < end; slot += ${threads}u) {
    let expert = u32(ids[slot]);
    if (expert < ${p.experts}u) { order[atomicAdd(&places[expert], 1u)] = slot; }
  }
}
`;
  return {
    name: 'moe sort',
    bindings: [
      { buffer: p.ids, name: 'ids', type: 'array<i32>', access: 'read' },
      { buffer: { scratch: p.order }, name: 'order', type: 'array<u32>', access: 'read_write' },
      { buffer: { scratch: p.tiles }, name: 'tiles', type: 'array<vec4<u32>>', access: 'read_write' },
      statusBinding,
    ],
    code,
    groups: (params) => (p.count(params) > p.first ? [1, 1, 1] : [0, 1, 1]),
  };
}
