// `linear` for many rows: tiles of rows and columns, all segments in one grid. Floor on an H100: 2 rows K N flops at about 600
// TFLOPS of f16 matrices (60 in f32), or the bytes of the weights at 3.3 TB/s, whichever is longer.

import { panelBytes, panelRows } from '../../../quant/layout.ts';
import { groupIndex } from '../common.ts';
import { type GpuBinding, type GpuKernelPlan, type GpuPass, grid, type KernelRequest } from '../contract.ts';
import type { LinearSegment, LinearShape } from './shape.ts';
import { halfActivations, halfRowWords, maxRows, normedActivations } from './tile-activations.ts';
import { gluFunctions, resultParams, resultType, resultWidth, type TileEngine } from './tile-body.ts';
import { chooseTile, type TileChooser } from './tile-choice.ts';
import { decodeFunction, decodeHelpers, fetchFunction, layoutName, tilePrelude } from './tile-weights.ts';

/** Row classes with a choice of their own: a long prompt, a short one, a batch of conversations. */
const classes = [
  { least: 129, end: Number.POSITIVE_INFINITY, typical: 512 },
  { least: 33, end: 128, typical: 128 },
  { least: 0, end: 32, typical: 32 },
] as const;

/** Rows `first … first + rows` of one matrix, or of gate and up. */
interface Piece {
  readonly segments: readonly LinearSegment[];
  readonly first: number;
  readonly rows: number;
}

/** Variants for any number of rows, largest first; scratch 0 holds activations, 1 the scales of halves. */
export function linearTiles(
  request: KernelRequest<'linear'>,
  shape: LinearShape,
  choose: TileChooser = chooseTile,
): GpuKernelPlan {
  const most = shape.rows ?? maxRows(request.bytesOf(request.b.x), shape.K);
  const needed = classes.filter(
    ({ least, end }) => least <= most && (shape.rows === undefined || shape.rows <= end),
  );
  const plans = needed.map((rows) => classPlan(request, shape, choose, { ...rows, most }));
  const scratch = [0, 1].map((i) => Math.max(0, ...plans.map((p) => p.scratch[i] ?? 0)));
  return { variants: plans.map((p) => p.variant), scratch };
}

function classPlan(
  request: KernelRequest<'linear'>,
  shape: LinearShape,
  choose: TileChooser,
  rows: { readonly least: number; readonly end: number; readonly typical: number; readonly most: number },
) {
  const { K, segments, norm, glu } = shape;
  const columns = glu === 'none' ? segments.reduce((sum, s) => sum + s.N, 0) : (segments[0]?.N ?? 0);
  const layouts = [...new Set(segments.map((s) => layoutName(s.layout)))].join('+');
  const engine = choose(request, {
    // Tuning runs as many rows as there can be, and one.
    key:
      rows.most > rows.end
        ? undefined
        : `linear_tiles ${layouts} K${K} N${columns}${glu === 'none' ? '' : ' glu'} rows${rows.typical}`,
    rows: Math.min(rows.typical, rows.most),
    columns,
    K,
    matrices: glu === 'none' ? 1 : 2,
    exact: shape.precision === 'exact',
  });
  const activations = {
    name: 'linear',
    x: request.b.x,
    K,
    rows: request.int(request.p.rows),
    count: request.inRun(request.p.rows),
    norm: norm === undefined ? undefined : { weight: request.b.normWeight, ...norm },
  };
  const before = engine.halves
    ? [halfActivations(activations, 0, 1)]
    : norm === undefined
      ? []
      : [normedActivations(activations, 0)];
  const scratch = engine.halves
    ? [rows.most * halfRowWords(K) * 16, rows.most * 4]
    : norm === undefined
      ? []
      : [rows.most * K * 4];
  const passes = [...before, ...productPasses(request, shape, engine)];
  const rowsOf = request.inRun(request.p.rows);
  const when = (params: readonly number[]): boolean => rowsOf(params) >= rows.least;
  return { variant: { when, passes }, scratch };
}

/** As few passes as the number of bindings allows. */
function productPasses(
  request: KernelRequest<'linear'>,
  shape: LinearShape,
  engine: TileEngine,
): readonly GpuPass[] {
  const groups: Piece[][] = [];
  for (const piece of piecesOf(request, shape)) {
    const last = groups.at(-1);
    const joined = [...(last ?? []), piece];
    if (
      last !== undefined &&
      bindingsOf(request, shape, engine, joined).length <= request.caps.maxStorageBuffers
    ) {
      last.push(piece);
    } else groups.push([piece]);
  }
  return groups.map((pieces) => productPass(request, shape, engine, pieces));
}

/** Segments, cut where a matrix is larger than a binding. */
function piecesOf(request: KernelRequest<'linear'>, { K, glu, segments }: LinearShape): readonly Piece[] {
  const together = glu === 'none' ? segments.map((s) => [s]) : [segments];
  return together.flatMap((parts) => {
    const N = parts[0]?.N ?? 0;
    // Panels are multiples of 64 bytes: four of them keep windows aligned.
    const four = 4 * Math.max(...parts.map((s) => panelBytes(s.layout, K)));
    const most = Math.max(1, Math.floor(request.caps.maxBindingBytes / four)) * 4 * panelRows;
    return Array.from({ length: Math.ceil(N / most) }, (_, i): Piece => {
      const first = i * most;
      return { segments: parts, first, rows: Math.min(most, N - first) };
    });
  });
}

const weightName = (piece: number, matrix: number): string => `w${piece}${matrix === 0 ? '' : '_up'}`;

function bindingsOf(
  { b }: KernelRequest<'linear'>,
  { K, residual, norm }: LinearShape,
  engine: TileEngine,
  pieces: readonly Piece[],
): GpuBinding[] {
  const read = (buffer: GpuBinding['buffer'], name: string, type: string): GpuBinding => ({
    buffer,
    name,
    type: `array<${type}>`,
    access: 'read',
  });
  const x = engine.halves
    ? [read({ scratch: 0 }, 'x', 'vec4<u32>'), read({ scratch: 1 }, 'scales', 'f32')]
    : [read(norm === undefined ? b.x : { scratch: 0 }, 'x', K % 8 === 0 ? 'vec4<f32>' : 'f32')];
  const parts = pieces.flatMap((piece, p) =>
    piece.segments.flatMap((segment, h): GpuBinding[] => {
      const panel = panelBytes(segment.layout, K);
      const window = {
        offset: (piece.first / panelRows) * panel,
        byteLength: Math.ceil(piece.rows / panelRows) * panel,
      };
      const { w, bias, y, N } = segment;
      const type = resultType(resultWidth(engine, N));
      return [
        { ...read(w, weightName(p, h), 'u32'), window },
        ...(bias === undefined ? [] : [read(bias, `bias_${bias}`, type)]),
        ...(y === undefined ? [] : [{ ...read(y, `y_${y}`, type), access: 'read_write' as const }]),
      ];
    }),
  );
  // A residual comes with one output.
  const sum = residual
    ? [read(b.residual, 'residual', resultType(resultWidth(engine, pieces[0]?.segments[0]?.N ?? 0)))]
    : [];
  const all = [...x, ...sum, ...parts];
  return [...new Map(all.map((b) => [b.name, b])).values()];
}

function productPass(
  request: KernelRequest<'linear'>,
  shape: LinearShape,
  engine: TileEngine,
  pieces: readonly Piece[],
): GpuPass {
  const { K, glu } = shape;
  const columns = engine.columns(glu === 'none' ? 1 : 2);
  const tiles = pieces.map((p) => Math.ceil(p.rows / columns));
  const total = tiles.reduce((a, b) => a + b, 0);
  const starts = tiles.map((_, i) => tiles.slice(0, i).reduce((a, b) => a + b, 0));
  const layouts = new Map(pieces.flatMap((p) => p.segments.map((s) => [layoutName(s.layout), s.layout])));
  const code = `${groupIndex}${tilePrelude(engine.math)}${decodeHelpers}${[...layouts.values()].map(decodeFunction).join('')}${engine.prelude}${gluFunctions(glu)}${activationFunctions(engine, K)}
${pieces.map((piece, p) => pieceCode(shape, engine, piece, p)).join('')}
@compute @workgroup_size(${engine.threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) t: u32${engine.subgroup.param}) {
  let rows = u32(${request.int(request.p.rows)});
  let m_tiles = (rows + ${engine.shape.m - 1}u) / ${engine.shape.m}u;
  // Neighbours share columns of W, which come from memory; x stays in the cache.
  let group = group_index(id, groups);
  let n_tile = group / m_tiles;
  let start = (group % m_tiles) * ${engine.shape.m}u;
  let count = min(${engine.shape.m}u, rows - start);
${pieces.map((_, p) => `  ${p === 0 ? '' : 'else '}if (n_tile < ${(starts[p] ?? 0) + (tiles[p] ?? 0)}u) { tile_${p}(start, count, 0u, 0u, n_tile - ${starts[p] ?? 0}u, t, ${engine.subgroup.value}); }`).join('\n')}
}
`;
  return {
    name: `linear ${[...layouts.keys()].join('+')} ${engine.name}`,
    enables: engine.enables,
    bindings: bindingsOf(request, shape, engine, pieces),
    code,
    groups: request.sized([request.p.rows], (rows = 0) => grid(Math.ceil(rows / engine.shape.m) * total)),
  };
}

/** How tiles read x, by rows that are slots: `x_chunk(base, row, c)`, or the halves' row length. */
export function activationFunctions(engine: TileEngine, K: number, row = 'slot'): string {
  const xRow = `fn x_row(slot: u32) -> u32 { return ${row}; }\n`;
  if (engine.halves) return `${xRow}const x_stride = ${halfRowWords(K)}u;\n`;
  const vectors = `let at = base + row * ${K / 4}u + 2u * c;`;
  const read =
    K % engine.shape.k === 0
      ? `  ${vectors}
  return array<vec4<f32>, 2>(x[at], x[at + 1u]);`
      : K % 8 === 0
        ? `  if (c >= ${K / 8}u) { return array<vec4<f32>, 2>(); }
  ${vectors}
  return array<vec4<f32>, 2>(x[at], x[at + 1u]);`
        : `  var v: array<vec4<f32>, 2>;
  for (var i = 0u; i < 8u; i++) {
    let k = c * 8u + i;
    v[i / 4u][i % 4u] = select(0.0, x[base + row * ${K}u + min(k, ${K - 1}u)], k < ${K}u);
  }
  return v;`;
  return `${xRow}fn x_chunk(base: u32, row: u32, c: u32) -> array<vec4<f32>, 2> {
${read}
}
`;
}

function pieceCode(shape: LinearShape, engine: TileEngine, piece: Piece, p: number): string {
  const { K, residual } = shape;
  const [segment] = piece.segments;
  const N = segment?.N ?? 0;
  const width = resultWidth(engine, N);
  const scale = engine.halves ? ' * scales[slot]' : '';
  const values = piece.segments.map(({ bias }, h) => {
    const sum = `${h === 0 ? 'a' : 'b'}${scale}`;
    return bias === undefined ? sum : `${sum} + bias_${bias}[column]`;
  });
  const value = values.length === 1 ? `${values[0]}` : `glu_${width}(${values.join(', ')})`;
  const finish = `fn finish_${p}(slot: u32, n: u32, ${resultParams(values.length, width)}) {
  let column = n + ${piece.first / width}u;
  let at = slot * ${N / width}u + column;
  y_${segment?.y}[at] = ${value}${residual ? ' + residual[at]' : ''};
}
`;
  const fetch = piece.segments.map((s, h) => fetchFunction(weightName(p, h), s.layout, K)).join('');
  const body = engine.body({
    suffix: `${p}`,
    fetch: piece.segments.map((_, h) => `fetch_${weightName(p, h)}`),
    decode: piece.segments.map((s) => `decode_${layoutName(s.layout)}`),
    N: `${piece.rows}u`,
    lastRow: `${Math.ceil(piece.rows / panelRows) * panelRows - 1}u`,
    steps: `${Math.ceil(K / engine.shape.k)}u`,
    finish: `finish_${p}`,
    width,
  });
  return `${fetch}${finish}${body}`;
}
