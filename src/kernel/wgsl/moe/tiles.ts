// Experts for many rows: slots sorted by expert, then tiles of one expert each, in one grid for the worst case.

import { panelRows, type WeightLayout } from '../../../quant/layout.ts';
import { groupIndex } from '../common.ts';
import { type GpuBinding, type GpuKernelPlan, type GpuPass, grid, type KernelRequest } from '../contract.ts';
import { halfActivations, halfRowWords, maxRows } from '../linear/tile-activations.ts';
import {
  gluFunctions,
  type ResultWidth,
  resultParams,
  resultType,
  resultWidth,
  type TileEngine,
} from '../linear/tile-body.ts';
import { chooseTile, type TileChooser } from '../linear/tile-choice.ts';
import {
  decodeFunction,
  decodeHelpers,
  fetchFunction,
  layoutName,
  tilePrelude,
} from '../linear/tile-weights.ts';
import { activationFunctions } from '../linear/tiles.ts';
import { layoutOf } from '../linear/unpack.ts';
import { panelsOf, panelWindows } from '../linear/windows.ts';
import { biasBindings, biased, biasesOf, gateForm } from './gate.ts';
import { heldIn } from './held.ts';
import { canSort, mostTiles, sortBytes, sortPass, sortSlots } from './sort.ts';

/** Numbers of the scratch buffers. */
const scratchOf = { halves: 0, scales: 1, order: 2, tiles: 3, parts: 4 } as const;

/** Bytes of `parts` at most: the products of slots before they are summed. */
const partBytes = 2 ** 27;

/** What moe_glu and moe_down differ in. */
interface Experts {
  readonly name: 'moe_glu' | 'moe_down';
  /** Buffers: activations, expert ids, one or two matrices. */
  readonly x: number;
  readonly ids: number;
  readonly weights: readonly number[];
  readonly K: number;
  readonly N: number;
  readonly topk: number;
  readonly experts: number;
  /** Of them in the buffers. */
  readonly held: number;
  readonly layout: WeightLayout;
  readonly exact: boolean;
  /** Rows of a run, from its params. */
  readonly rowsOf: (params: readonly number[]) => number;
  /** Slots per row of x: topk, or 1. */
  readonly slotsPerRow: number;
  /** Bytes that a slot takes in `parts`. */
  readonly partBytes: number;
  /** Rows of a dispatch at most. */
  readonly mostRows: number;
  /** Bindings and the statement that stores one result: of `slot`, `n` and the values `a` and `b`. */
  outputs(type: string): readonly GpuBinding[];
  readonly glu: string;
  store(scale: string, width: ResultWidth): string;
}

/** The expert whose bias a slot gets. */
const expertOf = (numbered: boolean): string => (numbered ? 'u32(experts[slot])' : 'tile_expert');

/** No variants: few rows, or too many experts. */
export function moeGluTiles(
  request: KernelRequest<'moe_glu'>,
  choose: TileChooser = chooseTile,
): GpuKernelPlan {
  const { p, b } = request;
  const [K, topk] = [request.constant(p.K), request.constant(p.topk)];
  const [experts, N] = [request.constant(p.E), request.constant(p.N)];
  const layout = layoutOf(request, p);
  const biases = biasesOf(request);
  return expertsPlan(request, choose, {
    name: 'moe_glu',
    x: b.x,
    ids: b.ids,
    weights: [b.gate, b.up],
    K,
    N,
    topk,
    experts,
    held: heldIn(request, b.gate, { layout, N, K }),
    layout,
    exact: request.named('precision', p.precision) === 'exact',
    rowsOf: request.inRun(p.rows),
    slotsPerRow: topk,
    partBytes: 0,
    mostRows: maxRows(request.bytesOf(b.x), K),
    outputs: (type) => [
      ...biasBindings(biases, [b.gateBias, b.upBias, b.experts], type),
      { buffer: b.h, name: 'h', type: `array<${type}>`, access: 'read_write' },
    ],
    glu: gluFunctions(request.named('glu', p.glu), gateForm(request)),
    store: (scale, width) =>
      `h[slot * ${N / width}u + n] = glu_${width}(${biased(biases, [`a${scale}`, `b${scale}`], `${expertOf(biases.numbered)} * ${N / width}u + n`)});`,
  });
}

export function moeDownTiles(
  request: KernelRequest<'moe_down'>,
  choose: TileChooser = chooseTile,
): GpuKernelPlan {
  const { p, b } = request;
  const [K, topk] = [request.constant(p.K), request.constant(p.topk)];
  const [experts, N] = [request.constant(p.E), request.constant(p.N)];
  const layout = layoutOf(request, p);
  const [hasBias, numbered] = [request.has(b.bias), request.has(b.experts)];
  const down: Experts = {
    name: 'moe_down',
    x: b.h,
    ids: b.ids,
    weights: [b.down],
    K,
    N,
    topk,
    experts,
    held: heldIn(request, b.down, { layout, N, K }),
    layout,
    exact: request.named('precision', p.precision) === 'exact',
    rowsOf: request.inRun(p.rows),
    slotsPerRow: 1,
    partBytes: 4 * N,
    mostRows: maxRows(request.bytesOf(b.h), K * topk),
    outputs: (type) => [
      { buffer: b.weights, name: 'weights', type: 'array<f32>', access: 'read' },
      ...(hasBias ? [{ buffer: b.bias, name: 'bias', type: `array<${type}>`, access: 'read' } as const] : []),
      ...(numbered
        ? [{ buffer: b.experts, name: 'experts', type: 'array<i32>', access: 'read' } as const]
        : []),
      { buffer: { scratch: scratchOf.parts }, name: 'parts', type: `array<${type}>`, access: 'read_write' },
    ],
    glu: '',
    store: (scale, width) => {
      const bias = hasBias ? ` + bias[${expertOf(numbered)} * ${N / width}u + n]` : '';
      return `parts[(slot - tiles[0].y) * ${N / width}u + n] = (a${scale}${bias}) * weights[slot];`;
    },
  };
  return expertsPlan(request, choose, down, (chunk) => sumPass(request, down, chunk));
}

/** Rows up to which single rows are the better way: until experts have about a slot each. */
export const fewRows = (topk: number, experts: number): number => Math.max(8, Math.floor(experts / topk));

/** Single rows by the passes of `few`, more by the variants of `many`; without those, `few` serves any number. */
export function rowsThenTiles(
  { topk, experts }: { readonly topk: number; readonly experts: number },
  few: () => readonly GpuPass[],
  many: GpuKernelPlan,
): GpuKernelPlan {
  if (many.variants.length === 0) return { variants: [{ passes: few() }] };
  const when = ([rows = 0]: readonly number[]): boolean => rows <= fewRows(topk, experts);
  return { ...many, variants: [{ when, passes: few() }, ...many.variants] };
}

/** Rows `first … first + rows` of a dispatch: as many as one sort and `parts` hold. */
interface Chunk {
  readonly first: number;
  readonly rows: number;
}

function expertsPlan(
  request: KernelRequest<'moe_glu' | 'moe_down'>,
  choose: TileChooser,
  e: Experts,
  after?: (chunk: Chunk) => GpuPass,
): GpuKernelPlan {
  const { caps } = request;
  if (!canSort(e.held, caps) || e.mostRows <= fewRows(e.topk, e.experts)) return { variants: [] };
  const typical = Math.min(512, e.mostRows);
  const engine = choose(request, {
    key: `${e.name}_tiles ${layoutName(e.layout)} K${e.K} N${e.N} E${e.experts} top${e.topk}`,
    rows: Math.ceil((typical * e.topk) / e.experts),
    columns: e.N * Math.min(e.experts, typical * e.topk),
    K: e.K,
    matrices: e.weights.length === 1 ? 1 : 2,
    exact: e.exact,
  });
  // Order, tiles, matrices, and what a pass has beside them.
  const buffers = xBindings(e, engine).length + 2 + e.weights.length + e.outputs('f32').length;
  if (buffers > caps.maxStorageBuffers) return { variants: [] };
  const room = e.partBytes === 0 ? sortSlots : Math.min(partBytes, caps.maxBindingBytes) / e.partBytes;
  const rows = Math.min(e.mostRows, Math.max(1, Math.floor(Math.min(sortSlots, room) / e.topk)));
  const chunks = Array.from(
    { length: Math.ceil(e.mostRows / rows) },
    (_, i): Chunk => ({ first: i * rows, rows }),
  );
  const xRows = e.topk / e.slotsPerRow;
  const half = halfActivations(
    {
      name: e.name,
      x: e.x,
      K: e.K,
      rows: `${request.int(request.p.rows)} * ${xRows}`,
      count: (params) => e.rowsOf(params) * xRows,
      norm: undefined,
    },
    scratchOf.halves,
    scratchOf.scales,
  );
  const passes = chunks.flatMap((chunk) =>
    [
      sortOf(request, e, engine, chunk),
      ...expertPasses(request, e, engine, chunk),
      ...(after === undefined ? [] : [after(chunk)]),
    ].map((pass) => ({ ...pass, part: chunk.first })),
  );
  const bytes = sortBytes({ most: rows * e.topk, experts: e.held, tileRows: engine.shape.m });
  const halves = engine.halves ? e.mostRows * xRows : 0;
  return {
    variants: [{ passes: engine.halves ? [half, ...passes] : passes }],
    scratch: [
      halves * halfRowWords(e.K) * 16,
      4 * halves,
      bytes.order,
      bytes.tiles,
      rows * e.topk * e.partBytes,
    ],
  };
}

function sortOf(
  request: KernelRequest<'moe_glu' | 'moe_down'>,
  e: Experts,
  engine: TileEngine,
  chunk: Chunk,
): GpuPass {
  return sortPass({
    ids: e.ids,
    experts: e.held,
    slots: `u32(${request.int(request.p.rows)} * ${e.topk})`,
    count: (params) => e.rowsOf(params) * e.topk,
    first: chunk.first * e.topk,
    most: chunk.rows * e.topk,
    tileRows: engine.shape.m,
    order: scratchOf.order,
    tiles: scratchOf.tiles,
  });
}

/** Rows of a chunk in a run. */
const rowsIn = ({ first, rows }: Chunk, n: number): number => Math.min(Math.max(n - first, 0), rows);

/** One pass, or one for each part of the experts that fits a binding. */
function expertPasses(
  request: KernelRequest<'moe_glu' | 'moe_down'>,
  e: Experts,
  engine: TileEngine,
  chunk: Chunk,
): readonly GpuPass[] {
  const unit = panelsOf(e.N);
  const windows = panelWindows({ layout: e.layout, K: e.K, count: e.held, unit }, request.caps);
  return windows.map(({ first, panels, window, base }) =>
    expertPass(e, engine, chunk, { first: first / unit, count: panels / unit, window, base }),
  );
}

interface ExpertWindow {
  readonly first: number;
  readonly count: number;
  readonly window: { readonly offset: number; readonly byteLength: number };
  /** Where the first expert starts, in units of 16 bytes. */
  readonly base: number;
}

function expertPass(e: Experts, engine: TileEngine, chunk: Chunk, w: ExpertWindow): GpuPass {
  const columns = Math.ceil(e.N / engine.columns(e.weights.length));
  const words = (w.window.byteLength - 16 * w.base) / w.count / 4;
  const code = `${groupIndex}${tilePrelude(engine.math)}${decodeHelpers}${decodeFunction(e.layout)}${engine.prelude}${e.glu}${activationFunctions(engine, e.K, `order[slot]${e.slotsPerRow === 1 ? '' : ` / ${e.slotsPerRow}u`}`)}
/** The expert of this workgroup's tile. */
var<private> tile_expert: u32;
${productCode(e, engine)}
@compute @workgroup_size(${engine.threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32${engine.subgroup.param}) {
  let group = group_index(id, groups);
  let i = group / ${columns}u;
  if (i >= tiles[0].x) { return; }
  let tile_at = tiles[1u + i];
  tile_expert = tile_at.z;
  let expert = tile_at.z - ${w.first}u;
  if (expert >= ${w.count}u) { return; }
  tile_0(tile_at.x, tile_at.y, 0u, ${4 * w.base}u + expert * ${words}u, group % ${columns}u, t, ${engine.subgroup.value});
}
`;
  return {
    name: `${e.name} ${layoutName(e.layout)} ${engine.name}`,
    enables: engine.enables,
    bindings: [
      ...xBindings(e, engine),
      { buffer: { scratch: scratchOf.order }, name: 'order', type: 'array<u32>', access: 'read' },
      { buffer: { scratch: scratchOf.tiles }, name: 'tiles', type: 'array<vec4<u32>>', access: 'read' },
      ...e.weights.map(
        (buffer, h): GpuBinding => ({
          buffer,
          name: `w${h}`,
          type: 'array<u32>',
          access: 'read',
          window: w.window,
        }),
      ),
      ...e.outputs(resultType(resultWidth(engine, e.N))),
    ],
    code,
    groups: (params) => {
      const n = e.rowsOf(params);
      const slots = rowsIn(chunk, n) * e.topk;
      return grid(mostTiles(slots, e.held, engine.shape.m) * columns);
    },
  };
}

const xBindings = (e: Experts, engine: TileEngine): readonly GpuBinding[] =>
  engine.halves
    ? [
        { buffer: { scratch: scratchOf.halves }, name: 'x', type: 'array<vec4<u32>>', access: 'read' },
        { buffer: { scratch: scratchOf.scales }, name: 'scales', type: 'array<f32>', access: 'read' },
      ]
    : [{ buffer: e.x, name: 'x', type: `array<${e.K % 8 === 0 ? 'vec4<f32>' : 'f32'}>`, access: 'read' }];

/** Functions of the weights, of the results, and of a tile. */
function productCode(e: Experts, engine: TileEngine): string {
  const scale = engine.halves ? ` * scales[slot${e.slotsPerRow === 1 ? '' : ` / ${e.slotsPerRow}u`}]` : '';
  const width = resultWidth(engine, e.N);
  const body = engine.body({
    suffix: '0',
    fetch: e.weights.map((_, h) => `fetch_w${h}`),
    decode: e.weights.map(() => `decode_${layoutName(e.layout)}`),
    N: `${e.N}u`,
    lastRow: `${panelsOf(e.N) * panelRows - 1}u`,
    steps: `${Math.ceil(e.K / engine.shape.k)}u`,
    finish: 'finish',
    width,
  });
  return `${e.weights.map((_, h) => fetchFunction(`w${h}`, e.layout, e.K)).join('')}fn finish(place: u32, n: u32, ${resultParams(e.weights.length, width)}) {
  let slot = order[place];
  ${e.store(scale, width)}
}
${body}`;
}

/** y: the sum over the slots of a row, and the residual. */
function sumPass(request: KernelRequest<'moe_down'>, e: Experts, chunk: Chunk): GpuPass {
  const residual = request.has(request.b.residual);
  const threads = 256;
  const code = `${groupIndex}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let i = group_index(id, groups) * ${threads}u + t;
  let first = tiles[0].y / ${e.topk}u;
  let rows = min(u32(${request.int(request.p.rows)}) - first, ${chunk.rows}u);
  if (i >= rows * ${e.N}u) { return; }
  let part = (i / ${e.N}u) * ${e.topk * e.N}u + i % ${e.N}u;
  let at = first * ${e.N}u + i;
  var sum = ${residual ? 'residual[at]' : '0.0'};
  for (var k = 0u; k < ${e.topk}u; k++) { sum += parts[part + k * ${e.N}u]; }
  y[at] = sum;
}
`;
  return {
    name: 'moe_down sum',
    bindings: [
      { buffer: { scratch: scratchOf.parts }, name: 'parts', type: 'array<f32>', access: 'read' },
      { buffer: { scratch: scratchOf.tiles }, name: 'tiles', type: 'array<vec4<u32>>', access: 'read' },
      ...(residual
        ? [{ buffer: request.b.residual, name: 'residual', type: 'array<f32>', access: 'read' } as const]
        : []),
      { buffer: request.b.y, name: 'y', type: 'array<f32>', access: 'read_write' },
    ],
    code,
    groups: request.sized([request.p.rows], (n = 0) => grid(Math.ceil((rowsIn(chunk, n) * e.N) / threads))),
  };
}
