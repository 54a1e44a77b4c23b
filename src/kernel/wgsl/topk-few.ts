// The few first of a row: the threads that share it keep it in registers, and find the next one as often as is asked. The time is
// that of reading x, where a sort would go through workgroup memory many times.

import { groupIndex } from './common.ts';
import { type GpuKernelPlan, grid, type KernelRequest } from './contract.ts';
import { orderedKey } from './ordered.ts';
import { rowStart, rowThreads } from './row-cells.ts';

/** Elements a thread keeps. */
const mostCells = 32;

/** Rounds that are still cheaper than sorting. */
const mostRounds = 16;

export const findsFew = (D: number, k: number): boolean => k <= mostRounds && D <= mostCells * rowThreads;

/** First comes the smaller key, then the lower place; `none` is behind all. */
export function planTopkFew(request: KernelRequest<'topk_rows'>): GpuKernelPlan {
  const { p, b } = request;
  const [D, k] = [request.constant(p.D), request.constant(p.k)];
  const perRow = Math.min(rowThreads, 2 ** Math.ceil(Math.log2(Math.max(1, D / mostCells))));
  const count = Math.ceil(D / perRow);
  const cells = Array.from({ length: count }, (_, i) => ({ i, place: `(part + ${i * perRow}u)` }));
  const load = cells
    .map(
      ({ i, place }) => `  var c${i} = 0u;
  if (${place} < ${D}u) { c${i} = key_of(x[base + ${place}]); } else { taken |= ${2 ** i}u; }
`,
    )
    .join('');
  const scan = cells
    .map(
      ({ i, place }) =>
        `      if ((taken & ${2 ** i}u) == 0u && (own_place == none || c${i} < own_key)) { own_key = c${i}; own_place = ${place}; }\n`,
    )
    .join('');
  const code = `${groupIndex}${orderedKey}const none = 0xffffffffu;
var<workgroup> keys: array<u32, ${rowThreads}>;
var<workgroup> places: array<u32, ${rowThreads}>;
fn key_of(v: f32) -> u32 {
  let key = ordered_key(v);
  return select(key, ~key, ${request.int(p.descending)} != 0i);
}
${rowStart(`u32(${request.int(p.rows)})`, perRow)}  let base = row * ${D}u;
  var taken = 0u;
${load}  var own_key = none;
  var own_place = none;
  var stale = true;
  for (var round = 0u; round < ${k}u; round++) {
    if (stale) {
      own_key = none;
      own_place = none;
${scan}      stale = false;
    }
    keys[t] = own_key;
    places[t] = own_place;
    for (var half = ${perRow >> 1}u; half > 0u; half >>= 1u) {
      workgroupBarrier();
      if (part < half && (keys[t + half] < keys[t] || (keys[t + half] == keys[t] && places[t + half] < places[t]))) {
        keys[t] = keys[t + half];
        places[t] = places[t + half];
      }
    }
    workgroupBarrier();
    let place = places[t - part];
    workgroupBarrier();
    if (place % ${perRow}u == part) {
      taken |= 1u << (place / ${perRow}u);
      stale = true;
    }
    if (live && part == 0u) {
      values[row * ${k}u + round] = x[base + place];
      indices[row * ${k}u + round] = i32(place);
    }
  }
}
`;
  return {
    variants: [
      {
        passes: [
          {
            name: 'topk few',
            bindings: [
              { buffer: b.x, name: 'x', type: 'array<f32>', access: 'read' },
              { buffer: b.values, name: 'values', type: 'array<f32>', access: 'read_write' },
              { buffer: b.indices, name: 'indices', type: 'array<i32>', access: 'read_write' },
            ],
            code,
            groups: request.sized([p.rows], (rows = 0) => grid(Math.ceil((rows * perRow) / rowThreads))),
          },
        ],
      },
    ],
  };
}
