// matmul: products of dense f32 matrices, one grid of tiles over rows, columns and batch. Floor on an H100: 2 M K N flops at 60
// TFLOPS, or the bytes of the operands.

import type { ParamPlace } from '../signature.ts';
import { groupIndex } from './common.ts';
import { type GpuKernel, grid, type KernelRequest } from './contract.ts';
import type { TileEngine } from './linear/tile-body.ts';
import { chooseTile, type TileChooser } from './linear/tile-choice.ts';
import { tilePrelude } from './linear/tile-weights.ts';

export const matmulKernel: GpuKernel<'matmul'> = { name: 'matmul', plan: (request) => matmulPlan(request) };

export function matmulPlan(request: KernelRequest<'matmul'>, choose: TileChooser = chooseTile) {
  const { p } = request;
  const size = (at: ParamPlace, otherwise: number): number =>
    request.isConstant(at) ? request.constant(at) : otherwise;
  const [batch, M, K, N] = [size(p.batch, 1), size(p.M, 512), size(p.K, 0), size(p.N, 512)];
  const engine = choose(request, {
    key: `matmul M${M} K${K} N${N} batch${batch}`,
    rows: M,
    columns: N * batch,
    K,
    matrices: 1,
    exact: true,
  });
  const pass = {
    name: `matmul ${engine.name}`,
    bindings: [
      { buffer: request.b.a, name: 'a', type: 'array<f32>', access: 'read' },
      { buffer: request.b.b, name: 'b', type: 'array<f32>', access: 'read' },
      { buffer: request.b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
    ],
    code: matmulCode(request, engine),
    groups: request.sized([p.batch, p.M, p.N], (items = 0, rows = 0, columns = 0) =>
      grid(items * Math.ceil(rows / engine.shape.m) * Math.ceil(columns / engine.shape.n)),
    ),
  } as const;
  return { variants: [{ passes: [pass] }] };
}

function matmulCode(request: KernelRequest<'matmul'>, engine: TileEngine): string {
  const { p } = request;
  const u32 = (at: ParamPlace): string => `u32(${request.int(at)})`;
  const [M, K, N] = [u32(p.M), u32(p.K), u32(p.N)];
  const { m, n, k } = engine.shape;
  return `${groupIndex}${tilePrelude(engine.math)}${engine.prelude}${operandFunctions(request)}
${engine.body({ suffix: '0', fetch: ['fetch_b'], decode: ['decode_b'], N, lastRow: `${N} - 1u`, steps: `(${K} + ${k - 1}u) / ${k}u`, finish: 'finish', width: 1 })}
@compute @workgroup_size(${engine.threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let m_tiles = (${M} + ${m - 1}u) / ${m}u;
  let n_tiles = (${N} + ${n - 1}u) / ${n}u;
  let group = group_index(id, groups);
  let item = group / (m_tiles * n_tiles);
  if (item >= ${u32(p.batch)}) { return; }
  let row = ((group / n_tiles) % m_tiles) * ${m}u;
  // Slots count the rows of all items: those of this one start at item * M, its operands at its strides.
  let a_base = item * ${u32(p.aStride)} - item * ${M} * ${K};
  tile_0(item * ${M} + row, min(${m}u, ${M} - row), a_base, item * ${u32(p.bStride)}, group % n_tiles, t, 0u);
}
`;
}

/** Chunks of eight of a row of a, and of a column of b (a row of b when it is transposed); zeros past K. */
function operandFunctions(request: KernelRequest<'matmul'>): string {
  const [K, N] = [`u32(${request.int(request.p.K)})`, `u32(${request.int(request.p.N)})`];
  const at = request.constant(request.p.transposeB) === 1 ? `n * ${K} + k` : `k * ${N} + n`;
  return `fn x_row(slot: u32) -> u32 { return slot; }
fn x_chunk(base: u32, row: u32, c: u32) -> array<vec4<f32>, 2> {
  var v: array<vec4<f32>, 2>;
  for (var i = 0u; i < 8u; i++) {
    let k = c * 8u + i;
    if (k < ${K}) { v[i / 4u][i % 4u] = a[base + row * ${K} + k]; }
  }
  return v;
}
fn fetch_b(base: u32, n: u32, c: u32) -> array<f32, 8> {
  var v: array<f32, 8>;
  for (var i = 0u; i < 8u; i++) {
    let k = c * 8u + i;
    if (k < ${K}) { v[i] = b[base + ${at}]; }
  }
  return v;
}
fn decode_b(v: array<f32, 8>, n: u32, c: u32) -> Pairs {
  return Pairs(pair(v[0], v[2]), pair(v[1], v[3]), pair(v[4], v[6]), pair(v[5], v[7]));
}
fn finish(slot: u32, n: u32, sum: f32) { y[slot * ${N} + n] = sum; }
`;
}
