// Tiles by subgroup matrices: x and W as f16 in workgroup memory, sums in f32. Where an adapter has none, the same code with
// plain loops in their place computes the same, slowly: it is how tests check every index.

import { invariant } from '../../../base/errors.ts';
import { lines, type TileEngine, type TileOperands, type TileShape, tileName } from './tile-body.ts';

/** Sizes of one subgroup matrix product. */
export interface MatrixShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** @param matrix The adapter's product, or 'plain' for loops over a product of 16 x 16 x 16. */
export function matrixEngine(shape: TileShape, matrix: MatrixShape | 'plain', subgroup = 32): TileEngine {
  const size = matrix === 'plain' ? { m: 16, n: 16, k: 16 } : matrix;
  const [sm, sn] = shape.subgroups;
  const threads = sm * sn * subgroup;
  // Rows and columns of the tile that one subgroup computes.
  const [rows, columns] = [shape.m / sm, shape.n / sn];
  const [fm, fn] = [rows / size.m, columns / size.n];
  invariant(Number.isInteger(fm) && Number.isInteger(fn) && shape.k % size.k === 0, tileName(shape));
  const chunks = shape.k / 8;
  // 16-byte words from one row to the next: odd, so that eight rows lie in different banks.
  const stride = chunks + 1;
  const staged = size.m * columns;
  const buffer = (shape.m + shape.n) * stride;
  const words = Math.max(shape.buffers * buffer, (sm * sn * staged) / 4);
  const ops = matrix === 'plain' ? plainOps(size, stride, subgroup) : matrixOps(size, stride);
  const geometry = { shape, size, threads, subgroup, rows, columns, fm, fn, chunks, stride, staged, buffer };
  return {
    name: `f16 ${tileName(shape)}`,
    shape,
    threads,
    workgroupBytes: words * 16,
    enables: matrix === 'plain' ? [] : ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'],
    subgroup:
      matrix === 'plain'
        ? { param: '', value: `t / ${subgroup}u` }
        : { param: ', @builtin(subgroup_id) subgroup: u32', value: 'subgroup' },
    math: matrix === 'plain' ? 'f32' : 'f16',
    halves: true,
    columns: (matrices) => shape.n / matrices,
    prelude: `var<workgroup> tile: array<vec4<u32>, ${words}>;
fn staged_1(i: u32) -> f32 { return bitcast<f32>(tile[i / 4u][i % 4u]); }
fn staged_4(i: u32) -> vec4<f32> { return bitcast<vec4<f32>>(tile[i]); }
${ops.prelude}`,
    body: (operands) => body(operands, geometry, ops),
  };
}

interface Geometry {
  readonly shape: TileShape;
  readonly size: MatrixShape;
  readonly threads: number;
  readonly subgroup: number;
  readonly rows: number;
  readonly columns: number;
  readonly fm: number;
  readonly fn: number;
  readonly chunks: number;
  readonly stride: number;
  readonly staged: number;
  /** Words of one buffer of x and W. */
  readonly buffer: number;
}

/** The three operations as WGSL; offsets and strides count words of 16 bytes. */
interface MatrixOps {
  readonly prelude: string;
  load(side: 'left' | 'right', offset: string): string;
  multiply(acc: string, left: string, right: string): string;
  store(acc: string, offset: string, stride: number): string;
}

const matrixOps = ({ m, n, k }: MatrixShape, stride: number): MatrixOps => ({
  prelude: `alias Left = subgroup_matrix_left<f16, ${k}, ${m}>;
alias Right = subgroup_matrix_right<f16, ${n}, ${k}>;
alias Sums = subgroup_matrix_result<f32, ${n}, ${m}>;
`,
  load: (side, offset) =>
    side === 'left'
      ? `subgroupMatrixLoad<Left, row_major>(&tile, ${offset}, ${stride}u)`
      : `subgroupMatrixLoad<Right, col_major>(&tile, ${offset}, ${stride}u)`,
  multiply: (acc, left, right) => `${acc} = subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${acc});`,
  store: (acc, offset, to) => `subgroupMatrixStore<row_major>(&tile, ${offset}, ${acc}, ${to}u);`,
});

/** A lane holds elements `lane + 32 i` of the result, row by row; a loaded matrix is its place. */
function plainOps({ m, n, k }: MatrixShape, stride: number, subgroup: number): MatrixOps {
  const each = (m * n) / subgroup;
  return {
    prelude: `alias Sums = array<f32, ${each}>;
fn half_product(a: u32, b: u32) -> f32 { return dot(unpack2x16float(a), unpack2x16float(b)); }
fn multiply(sums: Sums, left: u32, right: u32, lane: u32) -> Sums {
  var result = sums;
  for (var i = 0u; i < ${each}u; i++) {
    let element = lane + i * ${subgroup}u;
    for (var c = 0u; c < ${k / 8}u; c++) {
      let a = tile[left + (element / ${n}u) * ${stride}u + c];
      let b = tile[right + (element % ${n}u) * ${stride}u + c];
      result[i] += half_product(a.x, b.x) + half_product(a.y, b.y) + half_product(a.z, b.z) + half_product(a.w, b.w);
    }
  }
  return result;
}
fn store(sums: Sums, offset: u32, stride: u32, lane: u32) {
  for (var i = 0u; i < ${each}u; i++) {
    let element = lane + i * ${subgroup}u;
    let at = (offset + (element / ${n}u) * stride) * 4u + element % ${n}u;
    tile[at / 4u][at % 4u] = bitcast<u32>(sums[i]);
  }
}
`,
    load: (_, offset) => offset,
    multiply: (acc, left, right) => `${acc} = multiply(${acc}, ${left}, ${right}, t % ${subgroup}u);`,
    store: (acc, offset, to) => `store(${acc}, ${offset}, ${to}u, t % ${subgroup}u);`,
  };
}

function body(o: TileOperands, g: Geometry, ops: MatrixOps): string {
  const { chunks, stride } = g;
  const matrices = o.fetch.length;
  const perMatrix = g.shape.n / matrices;
  const x = tasks(g.shape.m, g);
  const w = o.fetch.map((fetch) => ({ fetch, ...tasks(perMatrix, g) }));
  // A subgroup's columns are half of gate and half of up, so that both values of a result meet in one place.
  const half = g.columns / matrices;
  const tileRow = (h: number, n: string): string =>
    matrices === 1 ? n : `(${n} / ${half}u) * ${g.columns}u + ${h * half}u + ${n} % ${half}u`;
  const each = (text: (i: number, j: number) => string): string =>
    lines(g.fm, (i) => lines(g.fn, (j) => text(i, j)));
  const double = g.shape.buffers === 2;
  const to = double ? `(k % 2u) * ${g.buffer}u + ` : '';
  const stage = `${lines(x.each, (i) => x.guarded(i, `tile[${to}(${x.row(i)}) * ${stride}u + c] = x_next_${i};`))}
${w
  .map((m, h) =>
    lines(m.each, (i) =>
      m.guarded(
        i,
        `let p${h}_${i} = ${o.decode[h]}(w${h}_next_${i}, n${h}_${i}, ${m.chunk(i)} + k * ${chunks}u);
    let r${h}_${i} = ${tileRow(h, `(${m.column(i)})`)};
    tile[${to}(${g.shape.m}u + r${h}_${i}) * ${stride}u + ${m.chunk(i)}] = vec4<u32>(pack_pair(p${h}_${i}[0]), pack_pair(p${h}_${i}[1]), pack_pair(p${h}_${i}[2]), pack_pair(p${h}_${i}[3]));`,
      ),
    ),
  )
  .join('\n')}`;
  const fetch = `    if (k + 1u < ${o.steps}) {
      let ahead = (k + 1u) * ${chunks}u;
${lines(x.each, (i) => `      x_next_${i} = x[x_${i} + ahead];`)}
${w.map((m, h) => lines(m.each, (i) => `      w${h}_next_${i} = ${m.fetch}(w_base, n${h}_${i}, ${m.chunk(i)} + ahead);`)).join('\n')}
    }`;
  const multiply = lines(g.shape.k / g.size.k, (s) => products(s, g, ops));
  const loop = double
    ? `  for (var k = 0u; k <= ${o.steps}; k++) {
    if (k < ${o.steps}) {
${stage}
${fetch}
    }
    if (k > 0u) {
    let filled = ((k + 1u) % 2u) * ${g.buffer}u;
${multiply}
    }
    workgroupBarrier();
  }`
    : `  for (var k = 0u; k < ${o.steps}; k++) {
${stage}
    workgroupBarrier();
${fetch}
${multiply}
    workgroupBarrier();
  }`;
  return `fn tile_${o.suffix}(start: u32, count: u32, x_base: u32, w_base: u32, n_tile: u32, t: u32, subgroup: u32) {
  let c = t % ${chunks}u;
${lines(
  x.each,
  (i) => `  let x_${i} = x_base + x_row(start + min(${x.row(i)}, count - 1u)) * x_stride + c;
  var x_next_${i} = x[x_${i}];`,
)}
${w
  .map((m, h) =>
    lines(
      m.each,
      (i) => `  let n${h}_${i} = min(n_tile * ${perMatrix}u + ${m.column(i)}, ${o.lastRow});
  var w${h}_next_${i} = ${m.fetch}(w_base, n${h}_${i}, ${m.chunk(i)});`,
    ),
  )
  .join('\n')}
${each((i, j) => `  var sums_${i}_${j}: Sums;`)}
  // The remainders change nothing but bound the places, so that compilers drop the checks of every load.
  let left = (subgroup / ${g.shape.subgroups[1]}u) % ${g.shape.subgroups[0]}u * ${g.rows * stride}u;
  let right = ${g.shape.m * stride}u + (subgroup % ${g.shape.subgroups[1]}u) * ${g.columns * stride}u;
${loop}
${lines(g.fm, (i) => storeRows(i, o, g, ops))}
}
`;
}

/** How threads share the chunks of `n` rows of a tile. */
function tasks(n: number, { threads, chunks }: Geometry) {
  const total = n * chunks;
  const each = Math.ceil(total / threads);
  const partial = total % threads !== 0;
  invariant(!partial || each === 1, `${total} chunks for ${threads} threads`);
  const task = (i: number): string => (i === 0 ? 't' : `(t + ${i * threads}u)`);
  return {
    each,
    /** Chunks of one row side by side: for x, whose rows are contiguous. */
    row: (i: number): string => `${task(i)} / ${chunks}u`,
    /** Rows side by side: for W, whose panels are. */
    column: (i: number): string => `${task(i)} % ${n}u`,
    chunk: (i: number): string => `(${task(i)} / ${n}u) % ${chunks}u`,
    guarded: (_: number, text: string): string =>
      partial ? `    if (t < ${total}u) {\n    ${text}\n    }` : `    ${text}`,
  };
}

/** Products of one step over `k` columns. */
function products(s: number, g: Geometry, ops: MatrixOps): string {
  const { stride } = g;
  const at = (s * g.size.k) / 8;
  const filled = g.shape.buffers === 2 ? 'filled + ' : '';
  return `${lines(g.fm, (i) => `    let left_${s}_${i} = ${ops.load('left', `${filled}left + ${i * g.size.m * stride + at}u`)};`)}
${lines(
  g.fn,
  (j) => `    let right_${s}_${j} = ${ops.load('right', `${filled}right + ${j * g.size.n * stride + at}u`)};
${lines(g.fm, (i) => `    ${ops.multiply(`sums_${i}_${j}`, `left_${s}_${i}`, `right_${s}_${j}`)}`)}`,
)}`;
}

/** Row i of each subgroup's matrices: through workgroup memory, then finished column by column, or four of them. */
function storeRows(i: number, o: TileOperands, g: Geometry, ops: MatrixOps): string {
  const matrices = o.fetch.length;
  const { width } = o;
  const columns = g.columns / matrices / width;
  const sn = g.shape.subgroups[1];
  const values = o.fetch.map((_, h) => `staged_${width}(origin + ${h * columns}u)`).join(', ');
  return `${lines(g.fn, (j) => `  ${ops.store(`sums_${i}_${j}`, `subgroup * ${g.staged / 4}u + ${(j * g.size.n) / 4}u`, g.columns / 4)}`)}
  workgroupBarrier();
  for (var e = t; e < ${(g.threads / g.subgroup) * g.size.m * columns}u; e += ${g.threads}u) {
    let owner = e / ${g.size.m * columns}u;
    let row = (e / ${columns}u) % ${g.size.m}u;
    let m = (owner / ${sn}u) * ${g.rows}u + ${i * g.size.m}u + row;
    let n = n_tile * ${g.shape.n / matrices / width}u + (owner % ${sn}u) * ${columns}u + e % ${columns}u;
    let origin = owner * ${g.staged / width}u + row * ${g.columns / width}u + e % ${columns}u;
    if (m < count && n < ${width === 1 ? o.N : `${o.N} / 4u`}) { ${o.finish}(start + m, n, ${values}); }
  }
  workgroupBarrier();`;
}
